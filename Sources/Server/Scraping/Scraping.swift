// SPDX-License-Identifier: Apache-2.0
// The configuration in force, what it scrapes, and its reload.

import Base
import Glibc
import Ingest
import Logging
import Scrape
import ServiceLifecycle
import Synchronization
import UnixSignals

/// Applies the configuration: at start, on SIGHUP and when `/-/reload` asks for it.
///
/// Scraping starts once the data directory is open and the first listener is bound, since the
/// embedded configuration scrapes that very address. A reload parses the whole file first; what is
/// wrong with it leaves everything as it was.
final class Scraping: Service {
    private struct State: Sendable {
        var configuration: Configuration
        var address: ListenAddress?
        var scraper: Scraper?
        var discovery: Discovery?
        /// Our own client, to be closed at the end.
        var client: OutgoingHTTP?
        var isEnded = false
        /// Told the `otlp` section.
        var translation: OTLPTranslation?
        var isReloadSuccessful = true
        var reloadedAtNanos: Int64
    }

    private let options: ServerOptions
    private let logger: Logger
    private let clock: any Clock
    private let state: Mutex<State>
    private let reloader: Reloader
    private let failures: ScrapeFailureLog
    let rules: RuleService
    /// Told of each configuration that a reload puts into force.
    private let reloaded: @Sendable (Configuration) -> Void

    /// - Parameter configuration: from the file that `options` name; nil without one.
    init(
        _ options: ServerOptions, _ configuration: Configuration?, _ logger: Logger,
        _ clock: any Clock, reloaded: @escaping @Sendable (Configuration) -> Void = { _ in }
    ) {
        self.reloaded = reloaded
        self.options = options
        self.logger = logger
        self.clock = clock
        state = Mutex(
            State(
                configuration: configuration ?? Configuration(), reloadedAtNanos: clock.wallNanos))
        reloader = Reloader()
        failures = ScrapeFailureLog(logger, clock)
        rules = RuleService(options, logger, clock)
    }

    // MARK: start

    /// The data directory is open: scraped batches have somewhere to go.
    ///
    /// - Parameters:
    ///   - fetcher: who asks the targets; nil = an HTTP client of our own.
    ///   - translation: follows the `otlp` section.
    func open(
        _ sink: any ScrapeSink, fetcher: (any ScrapeFetching)? = nil,
        translation: OTLPTranslation? = nil
    ) {
        let logger = self.logger
        start { state in
            guard !state.isEnded else { return }
            state.translation = translation
            translation?.apply(state.configuration.otlp)
            let client = OutgoingHTTP()
            state.client = client
            let fetcher = fetcher ?? ScrapeClient(client: client)
            var environment = ScrapeEnvironment(fetcher: fetcher, sink: sink, clock: clock) {
                message, url in
                logger.warning("\(message)", metadata: ["target": "\(url)"])
            }
            environment.noteFailure = { [failures] in failures.add($0) }
            let scraper = Scraper(environment)
            state.scraper = scraper
            state.discovery = Discovery(.live(client, clock, logger), name: "scrape") {
                job, groups in
                for error in scraper.update(job: job, discovered: groups) {
                    logger.error("\(error)")
                }
            }
        }
    }

    /// A listener that serves `/metrics` is bound. Only the first counts.
    func listening(on address: ListenAddress) {
        start { if $0.address == nil { $0.address = address } }
    }

    private func start(_ change: (inout State) -> Void) {
        let ready = state.withLock { state -> (Scraper, Discovery, Configuration, ListenAddress)? in
            let wasReady = state.scraper != nil && state.address != nil
            change(&state)
            guard !wasReady, let scraper = state.scraper, let discovery = state.discovery,
                let address = state.address
            else { return nil }
            if options.configurationFile == nil {
                state.configuration = .embedded(address: address.reachable.description)
            }
            return (scraper, discovery, state.configuration, address)
        }
        if let (scraper, discovery, configuration, address) = ready {
            apply(configuration, scraper, discovery, address)
        }
    }

    private func apply(
        _ configuration: Configuration, _ scraper: Scraper, _ discovery: Discovery,
        _ address: ListenAddress
    ) {
        failures.keep(Set(configuration.scrapes.map(\.failureLogFile)))
        for error in scraper.apply(configuration.scrapes) { logger.error("\(error)") }
        // After the jobs: what is discovered finds its job there.
        var sets: [String: [DiscoveryConfiguration]] = [:]
        for job in configuration.scrapes where !job.discoveries.isEmpty {
            sets[job.jobName] = job.discoveries
        }
        discovery.apply(sets)
        rules.apply(configuration, address, discovery.environment)
    }

    // MARK: life

    func run() async throws {
        let watch = Task { await watchFiles() }
        for await _ in await UnixSignalsSequence(trapping: .sighup).cancelOnGracefulShutdown() {
            do { try await reload() } catch {
                // Told to the log by `reload` already.
                logger.debug("SIGHUP changed nothing")
            }
        }
        watch.cancel()
        await end()
    }

    /// Ends discovery and scraping; nothing starts any more.
    func end() async {
        let (scraper, discovery, client) = state.withLock { state in
            state.isEnded = true
            return (state.scraper, state.discovery, state.client)
        }
        await rules.shutDown()
        await discovery?.shutDown()
        await scraper?.shutDown()
        await client?.shutdown()
    }

    /// Reloads when the files of the configuration have changed, as long as the options ask for it.
    func watchFiles() async {
        guard options.autoReload, let path = options.configurationFile else { return }
        var known = FileChecksum(path, configuration)
        while !Task.isCancelled {
            do { try await clock.sleep(seconds: options.autoReloadSeconds) } catch { return }
            let now = FileChecksum(path, configuration)
            if now == known { continue }
            logger.info("configuration files have changed", metadata: ["file": "\(path)"])
            do { try await reload() } catch {
                // Told to the log by `reload` already; the next change is the next attempt.
                logger.debug("the changed files changed nothing")
            }
            // The new configuration may name other files; a file that has changed since is loaded
            // with the next look.
            known = FileChecksum(path, configuration).keeping(now)
        }
    }

    /// Reloads one at a time.
    private actor Reloader {
        func run<T: Sendable>(_ work: @Sendable () throws -> T) rethrows -> T { try work() }
    }

    /// Reads the file again and puts it into force as a whole.
    ///
    /// - Throws: what is wrong with it; the earlier configuration stays in force then.
    func reload() async throws {
        try await reloader.run { [self] in
            guard let path = options.configurationFile else {
                logger.info("nothing to reload: there is no --config.file")
                return
            }
            do {
                let configuration = try loadConfiguration(
                    path, parser: options.features.parser, tenancy: options.tenancy)
                for note in configuration.notes { logger.warning("\(note)") }
                let (scraper, discovery, before, address) = state.withLock { state in
                    let before = state.configuration
                    state.configuration = configuration
                    state.isReloadSuccessful = true
                    state.translation?.apply(configuration.otlp)
                    state.reloadedAtNanos = clock.wallNanos
                    return (state.scraper, state.discovery, before, state.address)
                }
                if before.storage != configuration.storage {
                    logger.warning("storage: the changed settings apply from the next start")
                }
                if let scraper, let discovery, let address {
                    apply(configuration, scraper, discovery, address)
                }
                reloaded(configuration)
                logger.info("configuration loaded", metadata: ["file": "\(path)"])
            } catch {
                state.withLock { $0.isReloadSuccessful = false }
                logger.error(
                    "configuration not loaded; the earlier one stays in force",
                    metadata: ["file": "\(path)", "error": "\(error)"])
                throw ConfigurationError(
                    "couldn't load configuration (--config.file=\(quotedText(path))): \(error)")
            }
        }
    }

    /// Ends the server as SIGTERM does.
    func quit() {
        logger.info("asked to stop by /-/quit")
        kill(getpid(), SIGTERM)
    }

    // MARK: what others see

    var configuration: Configuration { state.withLock { $0.configuration } }
    /// Nil until scraping has started.
    var scraper: Scraper? { state.withLock { $0.scraper } }
    var discovery: Discovery? { state.withLock { $0.discovery } }
    var isLifecycleEnabled: Bool { options.enableLifecycle }
    var flags: [(name: String, value: String)] { options.flags }
    /// Whether the last reload succeeded, and when one last did.
    var lastReload: (isSuccessful: Bool, atNanos: Int64) {
        state.withLock { ($0.isReloadSuccessful, $0.reloadedAtNanos) }
    }
}

extension ListenAddress {
    /// The address under which this machine reaches the listener.
    fileprivate var reachable: ListenAddress {
        switch host {
        case "0.0.0.0", "": ListenAddress(host: "127.0.0.1", port: port)
        case "::": ListenAddress(host: "::1", port: port)
        default: self
        }
    }
}
