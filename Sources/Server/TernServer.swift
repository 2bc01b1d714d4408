// SPDX-License-Identifier: Apache-2.0
// How the server is put together.

import Base
import Correlation
import FoundationEssentials
import Ingest
import Logging
import PromQL
import ServiceLifecycle
import Storage
import Telemetry
import UnixSignals

/// A server from its options to its end.
package enum TernServer {
    /// Seconds that requests may go on for after SIGTERM; those that still run are cancelled then.
    private static let graceSeconds = 8

    /// Serves a data directory until SIGTERM or SIGINT.
    ///
    /// The directory is locked first, then the listeners come up, then the log is replayed on a
    /// thread of its own; until that is done every request but the readiness probes is told to
    /// come again. At the end heads are flushed, so that the next start has nothing to replay.
    ///
    /// - Throws: what keeps it from starting, with file, reason and remedy.
    package static func run(_ options: ServerOptions, log: LogOptions) async throws {
        Allocator.limitHeaps(
            max(2, ProcessInfo.processInfo.activeProcessorCount), keptBytes: 8 << 20)
        let logger = log.logger()
        let configuration = try options.configurationFile.map {
            try loadConfiguration($0, parser: options.features.parser, tenancy: options.tenancy)
        }
        for note in configuration?.notes ?? [] { logger.warning("\(note)") }
        let settings = CoreSettings(options, configuration)
        let directory = try DataDirectory(options.storagePath)

        let clock = SystemClock()
        let metrics = SelfMetrics()
        let startup = Startup(clock: clock)
        let observer = SelfObserver(logger: logger, metrics: metrics, clock: clock)
        let endpoint = HTTPEndpoint(options: HTTPEndpoint.Options(options), observer: observer)
        endpoint.serve(startup.routes(metrics)) { startup.refusal }
        let forwarding = Forwarding(logger, clock)
        let scraping = Scraping(options, configuration, logger, clock) {
            forwarding.apply($0.forwardDestinations)
            startup.core?.pipeline.limiter.set($0.limits)
            startup.core?.lineLimits.set($0.lineLimits)
            startup.core?.spanMetrics.set($0.spanMetrics)
            startup.core?.correlation.setOverrides($0.identities)
        }
        var quiet = logger
        quiet.logLevel = max(.notice, logger.logLevel)
        let core = CoreService(logger: logger, startup: startup) {
            try Core.open(settings, directory, clock, startup) { logger.warning("\($0)") }
        } serve: { core in
            endpoint.serve(
                makeRoutes(core, startup, metrics, scraping, forwarding), sockets: makeSockets(core)
            )
            // A reload during the replay had no index to tell.
            core.correlation.setOverrides(scraping.configuration.identities)
            forwarding.open(core, configuration?.forwardDestinations ?? [])
            scraping.rules.open(
                core.queries, core.pipeline, StoredRules(core.settings.kernel.path),
                correlation: core.correlation)
            scraping.open(core.pipeline, translation: core.intake.translation)
        }
        // They are shut down in reverse order: first no more requests, then the rest.
        var group = ServiceGroupConfiguration(
            services: [
                core, forwarding,
                spanMetricsService(
                    settings.spanMetrics.intervalSeconds, startup, clock, logger),
            ]
                + (try logDoorServices(options.logDoors, startup, clock, logger) {
                    announce($0, $1, $2, logger)
                })
                + listeners(options, endpoint, startup, logger, quiet, clock) {
                    scraping.listening(on: $0)
                } + [scraping],
            gracefulShutdownSignals: [.sigterm, .sigint], logger: quiet)
        group.maximumGracefulShutdownDuration = .seconds(graceSeconds)
        do {
            try await ServiceGroup(configuration: group).run()
        } catch is CancellationError {
            logger.warning("requests that still ran after \(graceSeconds) s were cancelled")
        } catch {
            await startup.core?.stop()
            throw error
        }
        await startup.core?.stop()
        logger.info("stopped")
    }

    private static func announce(_ host: String, _ port: Int, _ name: String, _ logger: Logger) {
        logger.info(
            "listening",
            metadata: [
                "address": "\(ListenAddress(host: host, port: port))", "serves": "\(name)",
            ])
    }

    private static func listeners(
        _ options: ServerOptions, _ endpoint: HTTPEndpoint, _ startup: Startup, _ logger: Logger,
        _ quiet: Logger, _ clock: any Clock,
        onListening: @escaping @Sendable (ListenAddress) -> Void
    ) -> [any Service] {
        @Sendable func announce(_ host: String, _ port: Int, _ name: String) {
            self.announce(host, port, name, logger)
        }
        var services: [any Service] = []
        let web = options.listen.map { ($0, "http") }
        let otlp = [options.otlpHTTP].compactMap { $0 }.map { ($0, "otlp-http") }
        for (address, name) in web + otlp {
            services.append(
                HTTPListener(
                    host: address.host, port: address.port, endpoint: endpoint,
                    limits: options.connection, logger: quiet
                ) { port in
                    announce(address.host, port, name)
                    if name == "http" {
                        onListening(ListenAddress(host: address.host, port: port))
                    }
                })
        }
        if let address = options.otlpGRPC {
            services.append(
                OTLPGRPCListener(host: address.host, port: address.port, startup: startup) {
                    endpoint.takeHTTP2(to: ListenAddress(host: address.host, port: $0))
                    announce(address.host, $0, "otlp-grpc")
                })
        }
        if let address = options.jaegerAgent {
            services.append(
                JaegerAgent(startup: startup, clock: clock, logger: logger)
                    .listener(on: address) { announce($0, $1, $2) })
        }
        services += pushServices(
            options, startup, clock, logger
        ) { announce($0, $1, $2) }
        return services
    }
}

/// Reads and parses a configuration file and the rule files it names.
///
/// - Parameter tenancy: of the server it is for; nil = not known.
package func loadConfiguration(
    _ path: String, parser: ParserOptions = ParserOptions(), tenancy: Tenancy? = nil
) throws -> Configuration {
    let directory = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
    let text = try fileText(path)
    var configuration: Configuration
    do { configuration = try Configuration.parse(text, in: directory) } catch {
        throw ConfigurationError("parsing YAML file \(path): \(error)")
    }
    try configuration.loadRules(parser)
    if tenancy == .off, let place = configuration.foreignTenant {
        throw ConfigurationError("\(path): \(place): tenants need --tenancy header")
    }
    return configuration
}
