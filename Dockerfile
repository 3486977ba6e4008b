# One image for every part; docker-compose.yml says which command each service runs.
# Build for a GPU with: --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130
FROM python:3.11-slim-bookworm

ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

RUN useradd --create-home --uid 10001 mailroom \
 && install -d -o mailroom -g mailroom /data /app
WORKDIR /app

# What changes seldom comes first, so that a change of code rebuilds only the last layers
COPY constraints.txt pyproject.toml ./
RUN pip install --no-deps --index-url "$TORCH_INDEX" "$(grep '^torch==' constraints.txt)"
COPY --chown=mailroom . .
RUN pip install --constraint constraints.txt --config-settings editable_mode=compat --editable '.[postgresql,series]'

USER mailroom
ENV MAILROOM_DATA_DIR=/data MAILROOM_HOST=0.0.0.0 MAILROOM_SMTP_HOST=0.0.0.0 MAILROOM_LOG_FORMAT=json
VOLUME /data
ENTRYPOINT ["mailroom"]
CMD ["--help"]
