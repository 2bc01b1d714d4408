// SPDX-License-Identifier: Apache-2.0
// One target, scraped on schedule.

import Base
import Ingest
import Synchronization
import Telemetry
import Wire

/// Scrapes one target until it is stopped.
///
/// Stopping (`stop`) lets a scrape that has begun come to its end, so that a reload tears no gap;
/// shutting down (`shutDown`) ends it and writes nothing any more.
package final class ScrapeLoop: Sendable {
    private struct State: Sendable {
        var status = TargetStatus()
        var metadata: [TargetMetadata] = []
        /// Fails every scrape before it is sent: the job has too many targets.
        var forcedError: String?
        var task: Task<Void, Never>?
        var fetch: Task<ScrapeAnswer, any Error>?
        var isShutDown = false
        var hasScraped = false
    }

    package let target: Target
    let configuration: ScrapeConfiguration
    private let environment: ScrapeEnvironment
    private let request: ScrapeRequest
    private let rules: ReadingRules
    private let report: ReportSeries
    private let state = Mutex(State())
    private let memory = Mutex(ScrapeMemory())

    package init(
        _ configuration: ScrapeConfiguration, _ target: Target, _ environment: ScrapeEnvironment
    ) {
        self.configuration = configuration
        self.target = target
        self.environment = environment
        request = Self.request(configuration, target, environment.userAgent)
        rules = ReadingRules(configuration, target)
        report = ReportSeries(configuration, target)
    }

    private static func request(
        _ configuration: ScrapeConfiguration, _ target: Target, _ userAgent: String
    ) -> ScrapeRequest {
        let headers = [
            NamedText("Accept", configuration.acceptHeader),
            NamedText("Accept-Encoding", configuration.enableCompression ? "gzip" : "identity"),
            NamedText("User-Agent", userAgent),
            NamedText(
                "X-Prometheus-Scrape-Timeout-Seconds", floatPlainText(target.timeoutSeconds)),
        ]
        return ScrapeRequest(
            url: target.url, headers: headers,
            timeoutSeconds: target.timeoutSeconds,
            bodyLimitBytes: configuration.bodySizeLimitBytes,
            client: configuration.client)
    }

    // MARK: life

    /// Starts scraping.
    ///
    /// - Parameter predecessor: the loop that scraped the same series until now and has been
    ///   stopped; once it has ended, this one carries on with what it remembers.
    func start(after predecessor: ScrapeLoop? = nil) {
        let task = Task { [self] in
            if let predecessor {
                await predecessor.ended()
                inherit(predecessor)
            }
            await run()
        }
        let isTooLate = state.withLock { state in
            state.task = task
            return state.isShutDown
        }
        if isTooLate { task.cancel() }
    }

    private func inherit(_ predecessor: ScrapeLoop) {
        let isSameReading =
            configuration.readsLike(predecessor.configuration)
            && target.labels == predecessor.target.labels
        let inherited = predecessor.memory.withLock { memory in
            let kept = isSameReading ? memory : memory.withoutTexts()
            memory = ScrapeMemory()
            return kept
        }
        memory.withLock { $0 = inherited }
        let (status, metadata, hasScraped) = predecessor.state.withLock {
            ($0.status, $0.metadata, $0.hasScraped)
        }
        state.withLock { state in
            state.metadata = metadata
            state.hasScraped = hasScraped
            if state.status == TargetStatus() { state.status = status }
        }
    }

    /// Ends the loop after the scrape under way, if there is one.
    func stop() { state.withLock { $0.task }?.cancel() }

    /// Ends the loop now.
    func shutDown() {
        let (task, fetch) = state.withLock { state in
            state.isShutDown = true
            return (state.task, state.fetch)
        }
        task?.cancel()
        fetch?.cancel()
    }

    /// Returns when a stopped loop has ended.
    func ended() async { await state.withLock { $0.task }?.value }

    private func run() async {
        let clock = environment.clock
        let interval = Int64(target.intervalSeconds * 1e9)
        if configuration.scrapesOnStart, !state.withLock({ $0.hasScraped }) {
            let millis = clock.wallNanos / 1_000_000
            await Task { await self.scrape(millis: millis) }.value
        }
        var schedule = ScrapeSchedule(
            intervalNanos: interval, offsetNanos: target.offsetNanos(interval),
            nowNanos: clock.wallNanos)
        while !Task.isCancelled {
            let delay = schedule.delayNanos(nowNanos: clock.wallNanos)
            do {
                try await clock.sleep(untilMonotonicNanos: clock.monotonicNanos &+ delay)
            } catch { return }
            let millis = schedule.begin(nowNanos: clock.wallNanos) / 1_000_000
            // A task of its own, so that stopping the loop does not tear the scrape.
            await Task { await self.scrape(millis: millis) }.value
        }
    }

    // MARK: one scrape

    /// Scrapes once, with `millis` as the time of samples that state none.
    package func scrape(millis: Int64) async {
        let clock = environment.clock
        let counters = environment.counters
        let started = clock.monotonicNanos
        let wall = clock.wallNanos
        var values = ReportSeries.Values()
        var failure = state.withLock { $0.forcedError }
        if failure != nil { counters.targetLimitExceeded.add() }

        var answer: (body: [UInt8], format: AnswerFormat)?
        if failure == nil {
            do {
                answer = try await fetch()
                values.bodyBytes = answer?.body.count ?? 0
            } catch let error as ScrapeError {
                failure = error.description
                if error == .bodySizeLimit {
                    values.bodyBytes = -1
                    counters.bodySizeLimitExceeded.add()
                }
            } catch { failure = "\(error)" }
        }
        // What was cut off by the end of the process says nothing about the target.
        if state.withLock({ $0.isShutDown }) { return }

        var batch = MetricBatch()
        let (markers, changed) = memory.withLock { memory in
            memory.begin()
            memory.metadata.begin(nowNanos: started)
            if let answer {
                let fault = answer.body.withUnsafeBytes { bytes -> ReadingFault? in
                    do throws(ReadingFault) {
                        try memory.read(
                            bytes, answer.format, millis: millis, rules, into: &batch,
                            counts: &values.counts)
                        return nil
                    } catch { return error }
                }
                if let fault {
                    failure = fault.text
                    note(fault)
                    batch = MetricBatch()
                }
            }
            if failure != nil { memory.fail() }
            let markers = memory.addStaleMarkers(to: &batch, millis: millis)
            memory.metadata.add(to: &batch)
            let changed = memory.metadata.isChanged ? memory.metadata.list() : nil
            memory.metadata.isChanged = false
            return (markers, changed)
        }
        values.isUp = failure == nil
        let duration = clock.monotonicNanos &- started
        values.durationSeconds = Double(duration) / 1e9
        report.add(values, millis: millis, to: &batch)

        count(values, duration)
        if let failure, !configuration.failureLogFile.isEmpty {
            environment.noteFailure(
                FailedScrape(
                    file: configuration.failureLogFile, job: configuration.jobName,
                    url: target.url, error: failure, wallNanos: wall))
        }
        let written = await write(batch)
        if written == nil { counters.staleMarkers.add(markers) }
        memory.withLock { $0.finish(isGood: failure == nil, isStored: written == nil) }
        state.withLock { state in
            state.hasScraped = true
            if let changed { state.metadata = changed }
            state.status.health = failure == nil ? .up : .down
            state.status.lastError = failure ?? written.map { "scrape not stored: \($0)" } ?? ""
            state.status.lastScrapeNanos = wall
            state.status.lastDurationSeconds = values.durationSeconds
        }
    }

    /// Asks the target.
    private func fetch() async throws -> (body: [UInt8], format: AnswerFormat)? {
        let fetcher = environment.fetcher
        let request = self.request
        let task = Task { try await fetcher.fetch(request) }
        let isShutDown = state.withLock { state in
            state.fetch = task
            return state.isShutDown
        }
        if isShutDown { task.cancel() }
        defer { state.withLock { $0.fetch = nil } }
        let answer = try await task.value
        guard answer.status == 200 else {
            let status = answer.reason.isEmpty ? "" : " " + answer.reason
            throw ScrapeError.failed("server returned HTTP status \(answer.status)\(status)")
        }
        let limit = configuration.bodySizeLimitBytes
        if limit > 0, answer.body.count >= limit { throw ScrapeError.bodySizeLimit }
        // Nothing to read, whatever it is: all series are gone.
        if answer.body.isEmpty { return nil }
        return (answer.body, try format(answer.contentType))
    }

    /// Source: prometheus/prometheus `model/textparse/interface.go`, `extractMediaType`.
    private func format(_ contentType: String) throws(ScrapeError) -> AnswerFormat {
        let type = mediaType(contentType)
        switch type ?? "" {
        case "application/openmetrics-text": return .text(.openMetrics)
        case "text/plain": return .text(.text)
        case "application/vnd.google.protobuf": return .protobuf
        default: break
        }
        switch configuration.fallbackProtocol {
        case .protobuf: return .protobuf
        case .openMetrics100, .openMetrics001: return .text(.openMetrics)
        case .text100, .text004: return .text(.text)
        case nil: break
        }
        if contentType.isEmpty {
            throw .failed(
                "non-compliant scrape target sending blank Content-Type and no "
                    + "fallback_scrape_protocol specified for target")
        }
        throw .failed(
            "received unsupported Content-Type \"\(contentType)\" and no "
                + "fallback_scrape_protocol specified for target")
    }

    private func note(_ fault: ReadingFault) {
        switch fault {
        case .sampleLimit: environment.counters.sampleLimitExceeded.add()
        case .labelLimit: environment.counters.labelLimitExceeded.add()
        case .bucketLimit: environment.counters.bucketLimitExceeded.add()
        case .malformed: break
        }
    }

    private func count(_ values: ReportSeries.Values, _ nanos: Int64) {
        let counters = environment.counters
        counters.scrapes.add()
        if !values.isUp { counters.failures.add() }
        counters.samples.add(values.counts.samples)
        counters.duplicates.add(values.counts.duplicates)
        counters.bodyBytes.add(max(0, values.bodyBytes))
        counters.microseconds.add(Int(nanos / 1000))
    }

    /// Commits a batch; the reason when that fails. The next scrape is not held up by it.
    private func write(_ batch: MetricBatch) async -> String? {
        do throws(IngestError) {
            let written = try await environment.sink.write(
                metrics: batch, tenant: configuration.tenant)
            if !written.refusals.isEmpty {
                environment.counters.refused.add(written.refusals.count)
                environment.note("samples refused: \(written.refusals.summary)", target.url)
            }
            return nil
        } catch {
            environment.counters.failedWrites.add()
            environment.note("scrape not stored: \(error)", target.url)
            return error.description
        }
    }

    // MARK: the end of a target

    /// Writes markers for all series of a target that has gone.
    ///
    /// Waits until two scrapes more would have been due: if the target comes back by then,
    /// whoever scrapes it takes over. Cancelling the task calls the markers off.
    ///
    /// - Parameters:
    ///   - heirs: the loops that may bring its series now.
    ///   - isReported: whether another loop writes this target's report series now.
    func markGone(
        unlessExposedBy heirs: @Sendable () -> [ScrapeLoop], isReported: @Sendable () -> Bool
    ) async {
        await ended()
        guard state.withLock({ $0.hasScraped }) else { return }
        let clock = environment.clock
        let interval = target.intervalSeconds
        let last = state.withLock { $0.status.lastScrapeNanos }
        let millis: Int64
        do {
            let due = last &+ Int64(interval * 1e9) &- clock.wallNanos
            try await clock.sleep(seconds: min(max(0, Double(due) / 1e9), interval))
            millis = clock.wallNanos / 1_000_000
            try await clock.sleep(seconds: 1.1 * interval)
        } catch { return }
        var batch = MetricBatch()
        let heirs = heirs()
        var count = memory.withLock { memory in
            memory.begin()
            return memory.addStaleMarkers(to: &batch, millis: millis) { series in
                heirs.contains { $0.isExposing(series) }
            }
        }
        if !isReported() { count += report.addStaleMarkers(millis: millis, to: &batch) }
        if Task.isCancelled || count == 0 { return }
        if await write(batch) == nil { environment.counters.staleMarkers.add(count) }
    }

    /// Whether the last scrape brought a series.
    func isExposing(_ series: Labels) -> Bool { memory.withLock { $0.isCurrent(series) } }

    // MARK: what others see

    package var status: TargetStatus { state.withLock { $0.status } }
    package var metadata: [TargetMetadata] { state.withLock { $0.metadata } }

    func setForcedError(_ reason: String?) { state.withLock { $0.forcedError = reason } }
}

/// Media type of a `Content-Type`, lower case, without parameters; nil when there is none.
private func mediaType(_ header: String) -> String? {
    guard let first = header.split(separator: ";", maxSplits: 1).first else { return nil }
    var text = first
    while let c = text.first, c == " " || c == "\t" { text = text.dropFirst() }
    while let c = text.last, c == " " || c == "\t" { text = text.dropLast() }
    return text.isEmpty ? nil : text.lowercased()
}
