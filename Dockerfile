# bids_spectsynth as a container.
#   docker build -t bids_spectsynth:0.1.0 .
#   docker run --rm --user "$(id -u):$(id -g)" -v DATA:/data:ro -v OUT:/out bids_spectsynth:0.1.0 /data /out participant
# Without a GPU, a much smaller image: --build-arg PIP_EXTRA_INDEX_URL=<package index with CPU builds of torch>.
# It holds no FSL: the embedded backend prepares the images.

# The Python of this Debian is 3.11, the one that the software is tested with.
ARG BASE_IMAGE=debian:bookworm-slim

FROM ${BASE_IMAGE} AS build
# pip reads these two from its environment: a further package index, a folder with wheels.
ARG PIP_EXTRA_INDEX_URL
ARG PIP_FIND_LINKS
# Debian removes old versions from its mirrors, so that exact versions would break the build within weeks.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY bids_spectsynth/__init__.py bids_spectsynth/
# The dependencies first: this layer is rebuilt only when they change.
RUN python3 -m venv /opt/bids_spectsynth \
    && /opt/bids_spectsynth/bin/python -m pip install --no-cache-dir --constraint constraints.txt .
COPY bids_spectsynth bids_spectsynth
RUN /opt/bids_spectsynth/bin/python -m pip install --no-cache-dir --no-deps --force-reinstall .

FROM ${BASE_IMAGE}
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="bids_spectsynth" \
    org.opencontainers.image.description="BIDS-App that synthesises interictal SPECT from MRI and PET" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.authors="The bids_spectsynth developers"
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --no-create-home --home-dir /tmp spectsynth
COPY --from=build /opt/bids_spectsynth /opt/bids_spectsynth
# Whoever runs it, with a read-only root and without a home: caches go to /tmp, which has to be writable.
ENV PATH=/opt/bids_spectsynth/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp \
    XDG_CACHE_HOME=/tmp/bids_spectsynth/cache \
    MPLCONFIGDIR=/tmp/bids_spectsynth/matplotlib \
    NUMBA_CACHE_DIR=/tmp/bids_spectsynth/numba \
    TEMPLATEFLOW_HOME=/opt/templateflow \
    TEMPLATEFLOW_AUTOUPDATE=0 \
    NIPYPE_NO_ET=1 \
    OMP_NUM_THREADS=1 \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
# TemplateFlow unpacks its placeholders when first imported; afterwards a read-only root is enough.
RUN python -c "import templateflow.api" \
    && chmod -R a+rX /opt/templateflow \
    && rm -rf /tmp/*
USER 1000:1000
WORKDIR /tmp
ENTRYPOINT ["bids_spectsynth"]
