FROM docker.io/library/rust:1.95-slim-trixie AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo install --path . --locked --profile dist --root /out && mkdir /out/data

FROM gcr.io/distroless/cc-debian13:nonroot
COPY --from=build /out/bin/joc-orders /usr/local/bin/joc-orders
COPY --from=build --chown=65532:65532 /out/data /var/lib/joc-orders
WORKDIR /var/lib/joc-orders
VOLUME /var/lib/joc-orders
ENV JOC_ORDERS_LISTEN=0.0.0.0:4446
EXPOSE 4446
USER 65532:65532
HEALTHCHECK --interval=30s --timeout=10s --start-period=10s CMD ["/usr/local/bin/joc-orders", "health"]
ENTRYPOINT ["/usr/local/bin/joc-orders"]
CMD ["serve"]
