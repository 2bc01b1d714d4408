// SPDX-License-Identifier: Apache-2.0
// Load that goes on until the server dies.

import Base
import Synchronization
import TestKit

/// The signals of a crash run.
enum CrashSignal: Int, CaseIterable, Sendable {
    case metrics, logs, traces

    var item: String {
        switch self {
        case .metrics: "samples"
        case .logs: "lines"
        case .traces: "spans"
        }
    }
}

/// Shapes and ledgers of one crash run. The run's data is 426 series a second of its own time, a
/// line every millisecond and a trace every 40 ms: the times do not follow the clock.
final class CrashRun: Sendable {
    let metrics: MetricShape
    let logs: LogShape
    let traces: TraceShape
    /// Samples that do not stay as they were sent.
    let fates: FateRun
    /// Lines that do not.
    let logFates: LogFateRun
    /// Spans that come late and twice.
    let spanFates: SpanFateRun
    private let sources: [any LoadSource]
    private let ledgers = Mutex(
        [BatchLedger](repeating: BatchLedger(), count: CrashSignal.allCases.count))

    init(seed: UInt64, startNanos: Int64) {
        let timeline = Timeline(
            seed: seed, startNanos: startNanos, traceEveryNanos: 40_000_000)
        metrics = MetricShape(
            timeline: timeline, hosts: 1, stepMillis: 1000, batchSamples: 213)
        logs = LogShape(timeline: timeline, lineEveryNanos: 1_000_000, batchLines: 200)
        traces = TraceShape(timeline: timeline, batchTraces: 2)
        fates = FateRun(
            seed: seed, nowMillis: startNanos / 1_000_000 + 7_200_000)
        logFates = LogFateRun(seed: seed, startNanos: startNanos)
        spanFates = SpanFateRun(seed: seed, startNanos: startNanos)
        sources = [
            MetricLoad(shape: metrics, samples: .max, version: .rw1),
            LogLoad(shape: logs, lines: .max, format: .loki),
            TraceLoad(shape: traces, traces: .max),
        ]
    }

    func ledger(_ signal: CrashSignal) -> BatchLedger {
        ledgers.withLock { $0[signal.rawValue] }
    }

    /// Sends batches of all signals until the connection breaks or `until` is reached.
    func load(_ client: LabClient, untilMonotonicNanos until: Int64) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for signal in CrashSignal.allCases {
                for _ in 0..<2 {
                    group.addTask { [self] in
                        try await lane(signal, client, until)
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    private func lane(_ signal: CrashSignal, _ client: LabClient, _ until: Int64) async throws {
        let clock = SystemClock()
        while clock.monotonicNanos < until {
            let batch = ledgers.withLock { $0[signal.rawValue].beginNext() }
            let request = try sources[signal.rawValue].request(batch)
            let answer: LabAnswer
            do {
                answer = try await client.post(
                    request.path, headers: request.headers, body: request.body)
            } catch {
                // The server is gone: whether the batch is stored will show.
                return
            }
            if answer.isSuccess, answer.body.isEmpty {
                ledgers.withLock {
                    $0[signal.rawValue].acknowledge(batch, items: request.items)
                }
            } else if answer.status != 503, answer.status != 429 {
                throw LabError(
                    "\(signal) batch \(batch) was answered \(answer.status): \(answer.text)")
            }
            try await clock.sleep(seconds: signal == .traces ? 0.04 : 0.02)
        }
    }
}

extension TraceLoad {
    /// A run of so many whole traces.
    init(shape: TraceShape, traces: Int) {
        self.shape = shape
        self.traces = traces
        lastSpans = .max
    }
}
