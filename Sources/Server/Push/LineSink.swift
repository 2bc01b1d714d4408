// SPDX-License-Identifier: Apache-2.0
// Lines that nobody waits for an answer to.

import Base
import Ingest
import Logging
import Synchronization
import Telemetry
import Wire

/// What the ways in for lines counted since the start; `/metrics` shows it.
final class LineCounters: Sendable {
    let influxFields = Atomic<Int>(0)
    let influxRejected = Atomic<Int>(0)
    /// Fields that are text.
    let influxTexts = Atomic<Int>(0)
    let graphiteLines = Atomic<Int>(0)
    let graphiteRejected = Atomic<Int>(0)
    let statsDObservations = Atomic<Int>(0)
    let statsDRejected = Atomic<Int>(0)
    let statsDSeries = Atomic<Int>(0)
    let listeners = ListenerCounters()

    static func add(_ count: Int, to counter: borrowing Atomic<Int>) {
        if count != 0 { counter.wrappingAdd(count, ordering: .relaxed) }
    }
}

/// Writes Graphite's lines. These protocols have no tenant: what they bring belongs to `anonymous`.
struct GraphiteSink: Sendable {
    let startup: Startup
    let clock: any Clock
    let logger: Logger
    let counters: LineCounters

    /// Writes whole lines and returns once they are durable. While the server cannot take them it
    /// tries again, so that a connection's sender is held up instead of losing data.
    ///
    /// - Throws: `CancellationError` when the server stops meanwhile.
    func write(_ bytes: [UInt8]) async throws {
        if bytes.isEmpty { return }
        while true {
            guard let core = startup.core else {
                try await clock.sleep(seconds: 0.1)
                continue
            }
            let now = clock.wallNanos / 1_000_000
            do {
                try await core.pipeline.perform(bytes: bytes.count) {
                    let decoded = bytes.withUnsafeBytes {
                        GraphiteLines.decode($0, nowMillis: now)
                    }
                    let report = try await core.pipeline.write(
                        metrics: decoded.batch, tenant: .anonymous)
                    count(decoded, report)
                }
                return
            } catch let error as IngestError {
                let seconds: Int
                switch error {
                case .unavailable(_, let after), .overloaded(let after): seconds = after
                }
                logger.debug("Graphite lines wait", metadata: ["reason": "\(error)"])
                try await clock.sleep(seconds: Double(max(1, seconds)))
            }
        }
    }

    private func count(_ decoded: LineBatch, _ report: MetricWriteReport) {
        LineCounters.add(report.samples, to: counters.graphiteLines)
        LineCounters.add(
            decoded.rejectedLines + report.refusals.count, to: counters.graphiteRejected)
        if let first = decoded.problems.first {
            logger.debug("Graphite line refused", metadata: ["reason": "\(first.message)"])
        }
        if !report.refusals.isEmpty {
            logger.debug("Graphite samples refused: \(report.refusals.summary)")
        }
    }
}

/// Adds up what StatsD's senders bring and writes it every flush interval.
final class StatsDSink: Sendable {
    private let aggregator: Mutex<StatsDAggregator>
    private let startup: Startup
    private let clock: any Clock
    private let logger: Logger
    private let counters: LineCounters
    private let refused = Atomic<Int>(0)

    init(
        startup: Startup, clock: any Clock, logger: Logger, counters: LineCounters,
        limits: StatsDLimits = StatsDLimits()
    ) {
        aggregator = Mutex(StatsDAggregator(limits: limits))
        self.startup = startup
        self.clock = clock
        self.logger = logger
        self.counters = counters
    }

    /// Takes lines in; they are in the next flush.
    func add(_ bytes: [UInt8]) {
        var batch = StatsDBatch()
        bytes.withUnsafeBytes { StatsDLines.decode($0, into: &batch) }
        let now = clock.wallNanos / 1_000_000
        let (series, all) = aggregator.withLock { aggregator in
            aggregator.add(batch, nowMillis: now)
            return (aggregator.seriesCount, aggregator.refused)
        }
        let before = refused.exchange(all, ordering: .relaxed)
        LineCounters.add(batch.observations.count, to: counters.statsDObservations)
        LineCounters.add(batch.rejectedLines + max(0, all - before), to: counters.statsDRejected)
        counters.statsDSeries.store(series, ordering: .relaxed)
        if let first = batch.problems.first {
            logger.debug("StatsD line refused", metadata: ["reason": "\(first)"])
        }
    }

    /// Writes every series. What fails is in the next flush again, since counters and histograms
    /// are totals.
    func flush() async {
        guard let core = startup.core else { return }
        let now = clock.wallNanos / 1_000_000
        let batch = aggregator.withLock { aggregator in
            defer { counters.statsDSeries.store(aggregator.seriesCount, ordering: .relaxed) }
            return aggregator.flush(nowMillis: now)
        }
        if batch.isEmpty { return }
        do {
            let report = try await core.pipeline.perform(bytes: batch.arena.count) {
                try await core.pipeline.write(metrics: batch, tenant: .anonymous)
            }
            if !report.refusals.isEmpty {
                logger.warning("StatsD series refused: \(report.refusals.summary)")
            }
        } catch {
            logger.warning("StatsD series not stored: \(error)")
        }
    }
}
