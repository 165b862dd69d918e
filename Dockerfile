# Earmark in a container; docs/deploy.md says how to run it.
#
#   docker build -t earmark .
#   docker build -t earmark --build-arg TRAINING=yes .    also what models are trained with

FROM python:3.12-slim-bookworm AS packages
ARG TRAINING=no
WORKDIR /build
COPY requirements.txt constraints.txt ./
RUN python -m venv /opt/venv
# PyTorch comes from its own index: PyPI's brings gigabytes of CUDA.
RUN pip="/opt/venv/bin/python -m pip install --no-cache-dir --disable-pip-version-check -c constraints.txt"; \
    if [ "$TRAINING" = yes ]; then \
      cp requirements.txt wanted.txt && \
      $pip --no-deps --index-url https://download.pytorch.org/whl/cpu "$(grep '^torch==' wanted.txt)"; \
    else \
      grep -vE '^(h5py|librosa|onnx|scikit-learn|torch)==' requirements.txt > wanted.txt; \
    fi && \
    $pip -r wanted.txt

FROM python:3.12-slim-bookworm
RUN useradd --uid 1000 --create-home earmark && install -d -o earmark -g earmark /data
COPY --from=packages /opt/venv /opt/venv
WORKDIR /app
COPY .streamlit/config.toml .streamlit/config.toml
COPY requirements.txt streamlit_app.py ./
COPY app app
COPY core core
COPY examples examples
COPY jobs jobs
COPY pages pages
COPY training training

# Everything that is written goes to /data.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/data \
    TMPDIR=/data/tmp \
    EARMARK_WORKSPACE=/data/workspace \
    EARMARK_FREESOUND_REQUESTS_FILE=/data/freesound-requests.sqlite \
    EARMARK_SECRETS_FILE=/data/secrets.toml \
    STREAMLIT_SERVER_ADDRESS=0.0.0.0 \
    PORT=8501
VOLUME /data
EXPOSE 8501
USER 1000:1000
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s CMD ["python", "-m", "app", "health"]
CMD ["python", "-m", "app", "serve"]
