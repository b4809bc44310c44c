# Stands for the cloud: Debian's docker-registry, without accounts and with deletion switched on.
ARG BASE=debian:bookworm-slim
FROM ${BASE}
RUN command -v docker-registry \
 || { apt-get update && apt-get install -y --no-install-recommends docker-registry && rm -rf /var/lib/apt/lists/*; }
RUN useradd --system --uid 10002 cloud && install -d -o cloud -g cloud /var/lib/cloud \
 && printf '%s\n' 'version: 0.1' 'http: { addr: ":5000" }' \
      'storage: { filesystem: { rootdirectory: /var/lib/cloud }, delete: { enabled: true } }' > /etc/cloud.yml
USER cloud
VOLUME /var/lib/cloud
EXPOSE 5000
ENTRYPOINT ["docker-registry", "serve", "/etc/cloud.yml"]
