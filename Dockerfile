# syntax=docker/dockerfile:1

FROM python:3.12-slim AS build
WORKDIR /src
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
COPY pyproject.toml README.md LICENSE ./
COPY operator ./operator
# Everything goes into one folder that the next stage takes over: no compiler, no pip cache, no sources there.
RUN python -m venv /opt/mfu && /opt/mfu/bin/pip install . && /opt/mfu/bin/pip uninstall --yes pip

FROM python:3.12-slim
LABEL org.opencontainers.image.title="mfu-operator" \
      org.opencontainers.image.description="Model FLOP Utilization as an orchestration input for Kubernetes" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/mfu /opt/mfu
ENV PATH=/opt/mfu/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp
USER 65532:65532
WORKDIR /tmp
EXPOSE 8080 8081 9443
ENTRYPOINT ["mfu"]
CMD ["--help"]
