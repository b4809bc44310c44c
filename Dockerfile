# One image for a whole layer (`terrace up`) and for each of its services alone (docker-compose.yml), amd64 and arm64.
#
#   BASE    any Debian: of it the image has the programs and libraries that a layer runs, and no package manager
#   BUILD   any image with npm: builds on the machine's own architecture; nothing of it is in the image
#   NATS    an image with a nats-server in its /usr/local/bin; else that of the base, else Debian's, which is older:
#           `terrace status` says what is known against the one that runs
#
# The image runs as any user, with a read-only root: what is written lies in the data volume and in /tmp. Its layers are
# apart by how often they change, and have the same bytes for the same content: an update of Terrace is its code.
ARG BASE=debian:bookworm-slim
ARG BUILD=node:24-bookworm-slim
ARG NATS=nats:2.14-alpine
FROM ${NATS} AS nats

# Of that image the one program. Where BASE stands for it, too, there may be none.
FROM ${BASE} AS bus
COPY --from=nats /usr/local/bin /nats
RUN mkdir /bus && { [ ! -x /nats/nats-server ] || cp /nats/nats-server /bus/; }

# Dependencies depend on the lock file: the version of Terrace is in both files, and is taken out.
FROM --platform=$BUILDPLATFORM ${BUILD} AS lock
WORKDIR /lock
COPY package.json package-lock.json .npmrc ./
RUN sed -i '0,/^  "version": ".*",$/s///' package.json \
 && sed -i -e '0,/^  "version": ".*",$/s///' -e '0,/^      "version": ".*",$/s///' package-lock.json

# The packages for the architecture of the image, with its Node. No script of a package runs.
FROM --platform=$BUILDPLATFORM ${BUILD} AS dependencies
ARG TARGETARCH
WORKDIR /installed
COPY --from=lock /lock ./
RUN npm ci --omit=dev --ignore-scripts --os=linux --cpu="$(echo "${TARGETARCH:-amd64}" | sed s/amd64/x64/)"

# The page is bundled here, as the image has none of the development packages.
FROM --platform=$BUILDPLATFORM ${BUILD} AS program
ARG TARGETARCH
WORKDIR /project
COPY --from=lock /lock ./
RUN npm ci --ignore-scripts
COPY package.json package-lock.json tsconfig.json LICENSE ./
COPY proto proto
COPY page page
COPY services services
RUN node_modules/.bin/node page/build.ts && [ -s services/gateway/page/built/index.html ]
COPY cli cli
COPY deploy/program deploy/program
COPY --from=dependencies /installed /installed
RUN node_modules/.bin/node deploy/program/assemble.ts --arch "${TARGETARCH:-amd64}" --installed /installed --to /program

# What is missing in the base, but a second, older nats-server: scanners would report it. One that does not run on this
# base ends the build.
FROM ${BASE} AS root
COPY --from=bus /bus /usr/local/bin
RUN set --; command -v nats-server || set -- nats-server; \
    [ -e /etc/ssl/certs/ca-certificates.crt ] || set -- "$@" ca-certificates; \
    ls /usr/lib/*/libstdc++.so.6 || set -- "$@" libstdc++6; \
    [ $# -eq 0 ] || { apt-get update && apt-get install -y --no-install-recommends "$@"; }; nats-server --version
COPY deploy/image /image
RUN sh /image/prepare-root && sh /image/strip-root "$(command -v nats-server)" && rm -r /image

FROM scratch
COPY --from=root / /
COPY --from=program /program/runtime /opt/terrace
COPY --from=program /program/dependencies /opt/terrace
COPY --from=program /program/page /opt/terrace
COPY --from=program /program/code /opt/terrace
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/terrace/bin \
    TERRACE_CONTAINER=1
LABEL org.opencontainers.image.title="Terrace" \
      org.opencontainers.image.description="A connected container registry for layered networks" \
      org.opencontainers.image.licenses="MIT"
# The data volume is ./data, that is /data, or /var/acr/data with the environment of the connected registry.
WORKDIR /
USER terrace
VOLUME /data
EXPOSE 5000 8080
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s CMD ["terrace", "health"]
ENTRYPOINT ["terrace"]
# Waits for its first token, which it names the command for: docker exec CONTAINER terrace token create NAME --push '*'
CMD ["up", "--log-json"]
