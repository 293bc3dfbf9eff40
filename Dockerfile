# The image: the static program, its licences, and nothing else. The first stage builds everything, by the only
# recipe, hack/build-static.sh. `make image` needs no builder image, because it builds the program outside
# (hack/Dockerfile.local).
#
# It works with Docker's classic builder and with BuildKit.

# For amd64 and arm64. To use another one: --build-arg BUILDER=... (any official `rust` image, or the one of
# hack/debian-builder.sh where no registry can be reached).
ARG BUILDER=rust:1.96.0-bookworm@sha256:5e2214abe154fe26e39f64488952e5c991eeed1d6d6da7cc8381ae83927f0cfc

FROM ${BUILDER} AS build
WORKDIR /src
# Alpine has no bash.
RUN command -v bash >/dev/null || apk add --no-cache bash
COPY . .
RUN hack/build-static.sh --install

# From here on as in hack/Dockerfile.local, except for the source of the program.
FROM scratch
ARG VERSION=unknown
ARG REVISION=unknown
# Time of the commit, not of the build, because equal sources make equal images.
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="multi-cluster-leader-election" \
      org.opencontainers.image.description="Elects exactly one leader among copies of a workload in several Kubernetes clusters, through a lease record in a GitHub gist" \
      org.opencontainers.image.authors="https://github.com/g1g1/multi-cluster-leader-election" \
      org.opencontainers.image.vendor="multi-cluster-leader-election" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.url="https://github.com/g1g1/multi-cluster-leader-election" \
      org.opencontainers.image.source="https://github.com/g1g1/multi-cluster-leader-election" \
      org.opencontainers.image.documentation="https://github.com/g1g1/multi-cluster-leader-election/blob/main/docs/image.md" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
COPY LICENSE THIRD-PARTY-NOTICES /licenses/
COPY --from=build /src/target/static/elector /elector
# So that `docker exec CONTAINER elector status` finds it.
ENV PATH=/
ENV ELECTOR_HTTP_ADDR=:4040
EXPOSE 4040
USER 65532:65532
ENTRYPOINT ["/elector"]
