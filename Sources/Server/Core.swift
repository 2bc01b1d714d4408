// SPDX-License-Identifier: Apache-2.0
// What a server has once its data directory is open.

import Base
import Correlation
import FoundationEssentials
import Ingest
import Logging
import LogStore
import MetricStore
import ServiceLifecycle
import Storage
import Synchronization
import Telemetry
import TraceStore
import Wire

/// The stores of one server, empty until a kernel opens them.
struct Stores: Sendable {
    let metrics: MetricStore
    let logs: LogStore
    let traces = TraceStore()
    let correlation: Correlation
    var all: [any SignalStore] { [metrics, logs, traces, correlation] }

    init(
        metrics configuration: MetricStoreConfiguration = MetricStoreConfiguration(),
        clock: any Clock = SystemClock()
    ) {
        metrics = MetricStore(configuration)
        var logs = LogStoreConfiguration()
        // One list of rules for all signals.
        logs.retention = configuration.retention.map(\.selectors)
        logs.deletionLanguage = deletionLanguage(clock)
        self.logs = LogStore(logs)
        correlation = Correlation(stored: traces)
    }
}

/// Settings that come from flags and configuration together. Times in seconds, sizes in bytes.
struct CoreSettings: Sendable {
    var kernel: KernelConfiguration
    var metrics = MetricStoreConfiguration()
    var limits = IngestLimits()
    var queries = QueryLimits()
    var tenancy: Tenancy
    /// The process-wide budget.
    var memoryBytes: Int
    var enableAdminAPI: Bool
    /// One line per query; nil = none.
    var queryLogFile: String?
    /// Destinations that the queue on disk has cursors for.
    var forwardNames: [String]
    var forward = ForwardQueue.Limits()
    var tenantLimits = TenantLimitTable()
    var lineLimits = LogLineLimits.Table()
    var enrichment = LogEnrichment()
    var spanMetrics = SpanMetricsSettings()
    var identities: IdentityOverrides?
    /// Within which a request to delete logs can be taken back.
    var deleteCancelSeconds = 86_400.0

    init(_ options: ServerOptions, _ configuration: Configuration?) {
        // A flag wins over the configuration.
        let memory = options.memoryLimitBytes ?? availableMemoryBytes() * 6 / 10
        let retention =
            options.retentionSeconds ?? configuration?.storage.retentionSeconds ?? 15 * 86_400
        let processors = ProcessInfo.processInfo.activeProcessorCount
        memoryBytes = memory
        enableAdminAPI = options.enableAdminAPI
        queryLogFile = options.queryLogFile
        forwardNames = (configuration?.forwardDestinations ?? []).map(\.forward.name)
        tenantLimits = configuration?.limits ?? TenantLimitTable()
        lineLimits = configuration?.lineLimits ?? LogLineLimits.Table()
        enrichment = configuration?.logs ?? LogEnrichment()
        spanMetrics = configuration?.spanMetrics ?? SpanMetricsSettings()
        identities = configuration?.identities
        deleteCancelSeconds =
            configuration?.storage.deleteCancelSeconds ?? deleteCancelSeconds
        forward.maxBytes = options.forwardBytes
        forward.maxAgeSeconds = options.forwardAgeSeconds
        kernel = KernelConfiguration(path: options.storagePath, retentionSeconds: retention)
        kernel.retentionBytes =
            options.retentionBytes
            ?? configuration?.storage.retentionBytes(on: options.storagePath)
        metrics.retention = configuration?.storage.retentionRules ?? []
        kernel.downsampling = configuration?.storage.downsampling ?? []
        kernel.retentionRules = metrics.retention.map(\.rule)
        kernel.sealAgeSeconds = options.sealAgeSeconds
        kernel.compactionIntervalSeconds = options.compactionSeconds
        // Two generations, one of them being sealed, and as much again of parts while they are made.
        kernel.sealBytes = max(16 << 20, memory / 8)
        // Replay uses several cores, up to a point.
        kernel.sealReplaySeconds *= Double(min(max(1, processors), 4))
        kernel.headLimitBytes = memory / 2
        kernel.residentPartBytes = max(64 << 20, memory / 8)
        limits.headBytes = memory / 2
        limits.bytesInFlight = max(64 << 20, memory / 8)
        limits.retentionSeconds = retention
        queries.timeoutSeconds = options.queryTimeoutSeconds
        queries.concurrency = options.queryConcurrency
        queries.samples = options.querySamples
        queries.memoryBytes = options.queryMemoryBytes ?? memory / 4
        queries.totalMemoryBytes = max(queries.memoryBytes, memory / 5 * 2)
        queries.lookbackSeconds = options.lookbackSeconds
        queries.features = options.features
        tenancy = options.tenancy
    }
}

/// An open data directory with the ways in and out of it.
struct Core: Sendable {
    let settings: CoreSettings
    let kernel: Kernel
    let pipeline: IngestPipeline
    let queries: QueryService
    let correlation: Correlation
    /// What operations did, by minute.
    let rates: any SpanRateReading
    let intake: OTLPIntake
    let lineLimits: LogLineLimits
    /// What is counted of spans as they are committed.
    let spanMetrics: SpanMetrics
    /// What jobs pushed.
    let pushed: PushGroups
    /// Requests to delete logs.
    let deletes: LogDeletes
    /// What arrives, for live tails.
    let tails: TailFeed
    /// Where their queries run.
    let tailPool: WorkerPool
    let clock: any Clock

    /// Replays the log. Blocks, in proportion to it.
    ///
    /// - Parameter warn: told what goes wrong beside the data.
    static func open(
        _ settings: CoreSettings, _ directory: DataDirectory, _ clock: any Clock,
        _ startup: Startup, warn: @escaping @Sendable (String) -> Void = { _ in }
    ) throws -> Core {
        let active = ActiveQueryLog(
            settings.kernel.path + "/queries.active", slots: settings.queries.concurrency,
            clock: clock, report: warn)
        // Before the replay: whatever killed the last process may do it again.
        if !active.unfinished.isEmpty {
            warn(
                "These queries didn't finish in the last run: ["
                    + active.unfinished.joined(separator: ",") + "]")
        }
        let queryLog = settings.queryLogFile.map { QueryLogFile($0, clock: clock, report: warn) }
        let stores = Stores(metrics: settings.metrics, clock: clock)
        // Before the replay, which learns by them.
        stores.correlation.setOverrides(settings.identities)
        let forward = try ForwardQueue(
            directory: settings.kernel.path + "/forward", clock: clock, limits: settings.forward,
            warn: warn)
        try forward.setDestinations(settings.forwardNames)
        let kernel = try Kernel.open(
            settings.kernel, stores: stores.all, followers: [forward], directory: directory
        ) { startup.note($0) }
        let processors = ProcessInfo.processInfo.activeProcessorCount
        var limits = settings.limits
        limits.threads = max(2, processors)
        let tails = TailFeed()
        let spanMetrics = SpanMetrics(settings.spanMetrics, clock: clock)
        let pipeline = IngestPipeline(
            kernel: kernel, metrics: stores.metrics, logs: stores.logs, traces: stores.traces,
            observers: [stores.correlation, tails, spanMetrics], forward: forward,
            enrichment: settings.enrichment, clock: clock, limits: limits)
        pipeline.limiter.set(settings.tenantLimits)
        let lineLimits = LogLineLimits(settings.lineLimits)
        let queries = QueryService(
            metrics: stores.metrics, logs: stores.logs, traces: stores.traces, clock: clock,
            limits: settings.queries, threads: max(4, 2 * processors), helpers: processors - 1,
            active: active,
            queryLog: queryLog)
        return Core(
            settings: settings, kernel: kernel, pipeline: pipeline, queries: queries,
            correlation: stores.correlation, rates: stores.traces,
            intake: OTLPIntake(
                pipeline: pipeline, tenancy: settings.tenancy, clock: clock,
                lookbackMillis: Int64(settings.queries.lookbackSeconds * 1000),
                traceDoors: startup.traceDoors, lineLimits: lineLimits),
            lineLimits: lineLimits,
            spanMetrics: spanMetrics,
            pushed: PushGroups(settings.kernel.path + "/pushed", report: warn),
            deletes: LogDeletes(
                directory: settings.kernel.path, kernel: kernel, logs: stores.logs, clock: clock,
                cancelSeconds: settings.deleteCancelSeconds, report: warn),
            tails: tails,
            tailPool: WorkerPool(name: "tail", threads: max(1, processors / 2), queueLimit: 0),
            clock: clock)
    }

    /// Flushes, syncs and unlocks. Requests must have ended.
    func stop() async {
        await deletes.stop()
        await kernel.stop(flush: true)
        pipeline.stop()
        pipeline.forward?.stop()
        queries.stop()
        tailPool.stop()
    }
}

/// Opens the data directory, then hands it to the endpoints and waits for the end.
struct CoreService: Service {
    let logger: Logger
    let startup: Startup
    let open: @Sendable () throws -> Core
    let serve: @Sendable (Core) -> Void

    init(
        logger: Logger, startup: Startup, open: @escaping @Sendable () throws -> Core,
        serve: @escaping @Sendable (Core) -> Void
    ) {
        self.logger = logger
        self.startup = startup
        self.open = open
        self.serve = serve
    }

    func run() async throws {
        guard let core = try await opened() else { return }
        report(core.kernel.status)
        core.kernel.start()
        core.deletes.start()
        startup.finish(core)
        serve(core)
        logger.info("ready")
        try await gracefulShutdown()
    }

    /// The open directory; nil when the server was told to stop meanwhile. Replay only reads what
    /// is durable already, so nothing is lost by leaving it behind.
    private func opened() async throws -> Core? {
        let answer = Answer()
        return try await withTaskCancellationOrGracefulShutdownHandler {
            try await withCheckedThrowingContinuation { continuation in
                answer.wait(continuation)
                do {
                    let open = self.open
                    _ = try DedicatedThread(name: "open") { answer.give(Result { try open() }) }
                } catch {
                    answer.give(.failure(error))
                }
            }
        } onCancelOrGracefulShutdown: {
            answer.give(.success(nil))
        }
    }

    /// Whichever answer comes first is the one.
    private final class Answer: Sendable {
        private let state = Mutex<
            (
                waiting: CheckedContinuation<Core?, any Error>?, given: Result<Core?, any Error>?
            )
        >((nil, nil))

        func wait(_ continuation: CheckedContinuation<Core?, any Error>) {
            let given = state.withLock { state -> Result<Core?, any Error>? in
                if state.given == nil { state.waiting = continuation }
                return state.given
            }
            if let given { continuation.resume(with: given) }
        }

        func give(_ result: Result<Core?, any Error>) {
            let waiting = state.withLock { state -> CheckedContinuation<Core?, any Error>? in
                guard state.given == nil else { return nil }
                state.given = result
                defer { state.waiting = nil }
                return state.waiting
            }
            waiting?.resume(with: result)
        }
    }

    private func report(_ status: KernelStatus) {
        logger.info(
            "data directory open",
            metadata: [
                "records": "\(status.replay.records)",
                "seconds": "\(Double(status.replay.nanos) / 1e9)",
            ])
        if let torn = status.replay.tornTail {
            logger.warning("log cut at its last record: \(torn)")
        }
        for fault in status.faults { logger.error("damage: \(fault)") }
    }
}
