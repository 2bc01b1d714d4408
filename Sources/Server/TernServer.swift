// SPDX-License-Identifier: Apache-2.0
// How the server is put together.

import AsyncHTTPClient
import Base
import Correlation
import FoundationEssentials
import GRPCCore
import GRPCNIOTransportHTTP2Posix
import Ingest
import Logging
import LogStore
import MetricStore
import ServiceLifecycle
import Storage
import Telemetry
import TraceStore
import UnixSignals

/// A server from its options to its end.
package enum TernServer {
    /// Opens the data directory, serves until SIGTERM or SIGINT, and closes it.
    ///
    /// - Throws: what keeps it from starting, with file, reason and remedy.
    package static func run(_ options: ServerOptions, log: LogOptions) async throws {
        let logger = log.logger()
        let clock = SystemClock()
        let configuration = try options.configurationFile.map { try loadConfiguration($0) }
        for note in configuration?.notes ?? [] { logger.warning("\(note)") }
        if configuration?.scrapes.isEmpty == false {
            logger.warning("scrape_configs: this version scrapes nothing; use remote write")
        }

        let memory = options.memoryLimitBytes ?? availableMemoryBytes() * 6 / 10
        let stores = Stores()
        let kernel = try openKernel(options, configuration, memory, stores, logger)
        var limits = IngestLimits()
        limits.headBytes = memory / 2
        limits.retentionSeconds = retention(options, configuration)
        let pipeline = IngestPipeline(
            kernel: kernel, metrics: stores.metrics, logs: stores.logs, traces: stores.traces,
            observers: [stores.correlation], clock: clock, limits: limits)
        kernel.start()

        var queries = QueryLimits()
        queries.timeoutSeconds = options.queryTimeoutSeconds
        queries.concurrency = options.queryConcurrency
        queries.samples = options.querySamples
        queries.memoryBytes = options.queryMemoryBytes ?? memory / 4
        queries.lookbackSeconds = options.lookbackSeconds
        let pool = WorkerPool(
            name: "query", threads: max(2, ProcessInfo.processInfo.activeProcessorCount),
            queueLimit: options.queryConcurrency)
        let service = QueryService(
            metrics: stores.metrics, logs: stores.logs, traces: stores.traces, clock: clock,
            limits: queries, pool: pool)
        do {
            try await serve(options, pipeline, service, stores.correlation, logger, clock)
        } catch {
            await kernel.stop()
            pool.stop()
            throw error
        }
        await kernel.stop()
        pool.stop()
        logger.info("stopped")
    }

    /// The stores of one server.
    struct Stores: Sendable {
        let metrics = MetricStore(MetricStoreConfiguration())
        let logs = LogStore()
        let traces = TraceStore()
        let correlation = Correlation()
        var all: [any SignalStore] { [metrics, logs, traces, correlation] }
    }

    private static func retention(
        _ options: ServerOptions, _ configuration: Configuration?
    ) -> Double {
        options.retentionSeconds ?? configuration?.storage.retentionSeconds ?? 15 * 86_400
    }

    private static func openKernel(
        _ options: ServerOptions, _ configuration: Configuration?, _ memory: Int,
        _ stores: Stores, _ logger: Logger
    ) throws -> Kernel {
        var settings = KernelConfiguration(
            path: options.storagePath, retentionSeconds: retention(options, configuration))
        settings.retentionBytes =
            options.retentionBytes ?? configuration?.storage.retentionBytes
        settings.sealAgeSeconds = options.sealAgeSeconds
        settings.sealBytes = min(settings.sealBytes, max(16 << 20, memory / 8))
        settings.headLimitBytes = memory / 2
        let kernel = try Kernel.open(settings, stores: stores.all)
        let status = kernel.status
        logger.info(
            "data directory open",
            metadata: [
                "path": "\(options.storagePath)", "records": "\(status.replay.records)",
                "seconds": "\(Double(status.replay.nanos) / 1e9)",
            ])
        if let torn = status.replay.tornTail {
            logger.warning("log cut at its last record: \(torn)")
        }
        for fault in status.faults { logger.error("damage: \(fault)") }
        return kernel
    }

    private static func serve(
        _ options: ServerOptions, _ pipeline: IngestPipeline, _ service: QueryService,
        _ correlation: Correlation, _ logger: Logger, _ clock: any Clock
    ) async throws {
        let metrics = SelfMetrics()
        let observer = SelfObserver(logger: logger, metrics: metrics, clock: clock)
        let intake = OTLPIntake(pipeline: pipeline, tenancy: options.tenancy, clock: clock)
        var endpointOptions = HTTPEndpoint.Options()
        endpointOptions.tenancy = options.tenancy
        endpointOptions.corsOrigin = options.corsOrigin
        let endpoint = HTTPEndpoint(
            routes: makeRoutes(
                pipeline: pipeline, service: service, intake: intake,
                correlation: correlation, metrics: metrics),
            options: endpointOptions, observer: observer)
        var quiet = logger
        quiet.logLevel = max(.notice, logger.logLevel)
        var services: [any Service] = []
        for address in options.listen + [options.otlpHTTP].compactMap({ $0 }) {
            services.append(
                makeListener(
                    host: address.host, port: address.port, endpoint: endpoint, logger: quiet
                ) { port in
                    logger.info(
                        "listening",
                        metadata: ["address": "\(ListenAddress(host: address.host, port: port))"])
                })
        }
        if let address = options.otlpGRPC {
            services.append(
                GRPCService(
                    server: makeOTLPServer(
                        host: address.host, port: address.port, intake: intake,
                        messageLimit: OTLPIntake.bodyLimit)))
        }
        let group = ServiceGroup(
            configuration: .init(
                services: services, gracefulShutdownSignals: [.sigterm, .sigint], logger: quiet))
        try await group.run()
    }
}

/// The gRPC server under service-lifecycle's rules.
private struct GRPCService: Service {
    let server: GRPCServer<HTTP2ServerTransport.Posix>

    func run() async throws {
        try await withGracefulShutdownHandler {
            try await server.serve()
        } onGracefulShutdown: {
            server.beginGracefulShutdown()
        }
    }
}

/// Reads and parses a configuration file.
package func loadConfiguration(_ path: String) throws -> Configuration {
    guard let data = FileManager.default.contents(atPath: path) else {
        throw ConfigurationError("cannot read \(path)")
    }
    return try Configuration.parse(String(decoding: data, as: UTF8.self))
}
