# segkd on a Jetson, arm64, without torch: build, validate, bench. See docs/docker.md.
#   docker build -f docker/jetson.Dockerfile --build-arg JETPACK=6 -t segkd:jetpack6 .
#   docker build -f docker/jetson.Dockerfile --build-arg JETPACK=7 -t segkd:jetpack7 .
ARG WHEEL_BASE=python:3.12.12-slim-bookworm
# Both bring TensorRT, its Python module and libcudart. JetPack 7 takes the images of arm64 servers (SBSA).
ARG JETPACK6_BASE=nvcr.io/nvidia/l4t-jetpack:r36.4.0
ARG JETPACK7_BASE=nvcr.io/nvidia/tensorrt:25.11-py3
ARG JETPACK=6

FROM --platform=$BUILDPLATFORM ${WHEEL_BASE} AS wheel
ARG EXTRAS=ort
WORKDIR /src
COPY constraints.txt pyproject.toml docker/requirements.py ./
RUN pip install --no-cache-dir -c constraints.txt build hatchling \
    && mkdir /out \
    && python requirements.py "${EXTRAS}" < pyproject.toml > /out/requirements.txt
COPY README.md LICENSE ./
COPY core core
COPY distill distill
COPY export export
COPY deploy deploy
RUN python -m build --wheel --no-isolation --outdir /out

FROM ${JETPACK6_BASE} AS jetpack6

FROM ${JETPACK7_BASE} AS jetpack7

# The stages above are tagged; hadolint takes this name for an image.
# hadolint ignore=DL3006
FROM jetpack${JETPACK} AS runtime
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/*
ARG PIP_CACHE_DIR=/var/cache/pip
# The system's packages stay visible for TensorRT. It is looked up and not imported: on JetPack 6 its libraries need
# parts of the host that only --runtime nvidia brings.
RUN --mount=type=cache,target=/var/cache/pip \
    --mount=type=bind,source=constraints.txt,target=/tmp/constraints.txt \
    --mount=type=bind,source=constraints-3.10.txt,target=/tmp/constraints-3.10.txt \
    --mount=type=bind,from=wheel,source=/out/requirements.txt,target=/tmp/requirements.txt \
    python3 -m venv --system-site-packages /opt/segkd \
    && constraints=/tmp/constraints.txt \
    && if python3 -c 'import sys; sys.exit(sys.version_info[:2] != (3, 10))'; then constraints=/tmp/constraints-3.10.txt; fi \
    && /opt/segkd/bin/pip install -c "${constraints}" -r /tmp/requirements.txt \
    && /opt/segkd/bin/python -c 'from importlib.util import find_spec as f; assert f("tensorrt"), "the base has no tensorrt"; assert not f("torch"), "the base has torch"'
RUN --mount=type=bind,from=wheel,source=/out,target=/tmp/out \
    /opt/segkd/bin/pip install --no-cache-dir --no-index --no-deps /tmp/out/*.whl \
    && /opt/segkd/bin/segkd --version
# Writable for every user, so that `docker run --user "$(id -u):$(id -g)"` works.
RUN useradd --no-log-init --no-create-home --home-dir /var/lib/segkd --uid 10001 segkd \
    && install -d -m 1777 /var/lib/segkd /var/cache/segkd /work

ENV PATH=/opt/segkd/bin:$PATH \
    HOME=/var/lib/segkd \
    USER=segkd \
    XDG_CACHE_HOME=/var/cache/segkd \
    PYTHONUNBUFFERED=1
WORKDIR /work
USER 10001:10001
HEALTHCHECK --interval=5m --timeout=30s CMD ["segkd", "doctor"]
ENTRYPOINT ["segkd"]
CMD ["doctor"]

ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="segkd jetson" \
      org.opencontainers.image.description="Build, validate and benchmark engines on a Jetson, without torch" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
