# bids_spectsynth as a container, for x86-64.
#   docker build -t bids_spectsynth:0.1.0 .
#   docker run --rm --user "$(id -u):$(id -g)" -v DATA:/data:ro -v OUT:/out bids_spectsynth:0.1.0 /data /out participant
# Build arguments:
#   WITH_FSL=0               no FSL, which is for non-commercial use only: the embedded backend prepares the images
#   PIP_EXTRA_INDEX_URL=URL  a package index with CPU builds of torch, for an image without CUDA
#   PIP_FIND_LINKS=FOLDER    wheels on the disk, as the builder sees them
#   TEMPLATES="NAME NAME"    templates of TemplateFlow to bake in
#   BASE_IMAGE=IMAGE         another Debian 12: its Python 3.11 is the one that the software is tested with
ARG BASE_IMAGE=debian:bookworm-slim
ARG WITH_FSL=1

FROM ${BASE_IMAGE} AS python
# Debian removes old versions from its mirrors, so that exact versions would break the build within weeks.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*

FROM python AS build
# pip reads these two from its environment.
ARG PIP_EXTRA_INDEX_URL
ARG PIP_FIND_LINKS
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY bids_spectsynth/__init__.py bids_spectsynth/
# The dependencies first: this layer is rebuilt only when they change. Byte code is compiled here, by all cores: later
# the root is read-only, and every start would compile anew.
RUN python3 -m venv /opt/bids_spectsynth \
    && /opt/bids_spectsynth/bin/python -m pip install --no-cache-dir --no-compile --constraint constraints.txt '.[dicom]' \
    && rm -rf /opt/bids_spectsynth/lib/python3.11/site-packages/torch/test \
    && /opt/bids_spectsynth/bin/python -m compileall -q -j 0 -x '/tests?/|/testing/_internal/' /opt/bids_spectsynth/lib
COPY bids_spectsynth bids_spectsynth
RUN /opt/bids_spectsynth/bin/python -m pip install --no-cache-dir --no-deps --force-reinstall .
# TemplateFlow unpacks its placeholders when first imported; afterwards a read-only folder is enough.
ARG TEMPLATES=""
ENV TEMPLATEFLOW_HOME=/opt/templateflow
RUN /opt/bids_spectsynth/bin/python -c "import templateflow.api" \
    && for name in ${TEMPLATES}; do \
        /opt/bids_spectsynth/bin/python -c "from bids_spectsynth.preprocess.templates.templates import check_template; \
check_template('${name}')" || exit 1; \
    done \
    && chmod -R a+rX /opt/templateflow

# BET and FLIRT from FSL's own conda channel. Not built with WITH_FSL=0.
FROM ${BASE_IMAGE} AS fsl
ARG MICROMAMBA_VERSION=2.8.1-0
ARG MICROMAMBA_SHA256=9689782d863c05a1bf5d2d371ba527104e7a4eb4310c1637d8653b751aed9c82
ARG FSL_CHANNEL=https://fsl.fmrib.ox.ac.uk/fsldownloads/fslconda/public
# bet is a script around bet2; it calls fslval and fslstats, which are of avwutils.
ARG FSL_PACKAGES="fsl-avwutils=2209.2 fsl-bet2=2111.5 fsl-flirt=2111.2 fsl-miscmaths=2203.2"
ADD https://github.com/mamba-org/micromamba-releases/releases/download/${MICROMAMBA_VERSION}/micromamba-linux-64 \
    /usr/local/bin/micromamba
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && echo "${MICROMAMBA_SHA256}  /usr/local/bin/micromamba" >/tmp/micromamba.sha256 \
    && sha256sum --check /tmp/micromamba.sha256 \
    && chmod 755 /usr/local/bin/micromamba
# The packages are several words.
# hadolint ignore=SC2086
RUN micromamba create --yes --root-prefix /tmp/mamba --prefix /opt/fsl \
        --override-channels --channel "${FSL_CHANNEL}" --channel conda-forge ${FSL_PACKAGES} \
    && rm -rf /opt/fsl/include /opt/fsl/src /opt/fsl/share/doc /opt/fsl/share/man

FROM python AS runtime-0
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="bids_spectsynth" \
    org.opencontainers.image.description="BIDS-App that synthesises interictal SPECT from MRI and PET" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.authors="The bids_spectsynth developers"
RUN useradd --uid 1000 --no-create-home --home-dir /tmp spectsynth
COPY --from=build /opt /opt
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

FROM runtime-0 AS runtime-1
LABEL org.opencontainers.image.licenses="Apache-2.0 AND LicenseRef-FSL" \
    org.opencontainers.image.description="BIDS-App that synthesises interictal SPECT from MRI and PET; \
holds FSL, which is licensed for non-commercial use only"
# bet computes with dc, other scripts of FSL with bc.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends bc dc \
    && rm -rf /var/lib/apt/lists/*
COPY --from=fsl /opt/fsl /opt/fsl
ENV FSLDIR=/opt/fsl \
    FSLOUTPUTTYPE=NIFTI_GZ
# bet calls two programs of fslpy by their place in FSLDIR; fslpy is one of the Python packages that are here already.
RUN for name in imtest remove_ext; do \
        test -e "/opt/fsl/bin/${name}" || ln -s "/opt/bids_spectsynth/bin/${name}" /opt/fsl/bin/ || exit 1; \
    done \
    && python -c "from bids_spectsynth.preprocess.backends.fsl.environment import require_fsl, robust_doubt; \
from bids_spectsynth.preprocess.backends.fsl.options import DEFAULT_OPTIONS as options; \
require_fsl(options); doubt = robust_doubt(options); assert doubt is None, doubt"

# A stage of this file, not an image of a registry. The default stands here once more, because podman and buildah decide
# by the given arguments alone which stages they need.
# hadolint ignore=DL3006
FROM runtime-${WITH_FSL:-1}
USER 1000:1000
WORKDIR /tmp
ENTRYPOINT ["bids_spectsynth"]
