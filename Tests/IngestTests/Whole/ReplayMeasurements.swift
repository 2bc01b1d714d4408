// SPDX-License-Identifier: Apache-2.0
// How fast the log is replayed; a measurement, not a judgement.

import Base
import Correlation
import FoundationEssentials
import Glibc
import LogStore
import MetricStore
import Storage
import Telemetry
import TestKit
import Testing
import TraceStore

/// Batches as busy senders make them.
private struct Traffic {
    private var random = SplitMix64(seed: 1)
    private var millis: Int64 = 1_800_000_000_000
    private var nextSeries = 0
    private var counters = [Double](repeating: 0, count: 20_000)

    private mutating func below(_ n: Int) -> Int { Int(random.next() % UInt64(n)) }

    /// 2,000 samples, one each of as many of 20,000 series.
    mutating func metrics() -> MetricBatch {
        var batch = MetricBatch()
        millis += 1500
        for _ in 0..<2000 {
            let number = nextSeries
            nextSeries = (nextSeries + 1) % counters.count
            counters[number] += Double(below(1000)) / 10
            let series = batch.addSeries(
                Labels([
                    ("__name__", "http_request_duration_seconds_bucket"), ("job", "shop"),
                    ("instance", "10.0.\(number / 200).\(number % 200):9100"),
                    ("le", "\(number % 12)"), ("handler", "/api/v1/cart/\(number % 37)"),
                ]))
            batch.addSample(series: series, millis: millis, value: counters[number])
        }
        return batch
    }

    /// 1,000 lines of some 150 bytes in 20 streams.
    mutating func logs() -> LogBatch {
        var batch = LogBatch()
        var streams: [UInt32] = []
        for number in 0..<20 {
            streams.append(
                batch.addStream(
                    Labels([
                        ("service_name", "shop-\(number % 5)"), ("pod", "shop-\(number)"),
                        ("namespace", "prod"),
                    ])))
        }
        millis += 50
        for row in 0..<1000 {
            let id = TraceID(high: random.next(), low: random.next())
            let line =
                "level=info ts=\(millis) caller=handler.go:\(below(900)) method=POST "
                + "path=/api/v1/cart/\(below(5000)) status=\(200 + below(3) * 100) "
                + "duration=\(below(100_000))us trace_id=\(id)"
            batch.addRow(
                stream: streams[below(20)], nanos: millis * 1_000_000 + Int64(row),
                line: batch.arena.keep(line), traceID: row % 4 == 0 ? id : .zero)
        }
        return batch
    }

    /// 500 spans of 50 traces.
    mutating func spans() -> SpanBatch {
        var batch = SpanBatch()
        for service in 0..<5 {
            var resource = SpanBatch.Resource()
            var attributes = ByteWriter()
            AttributeCoding.encode("service.name", .string("shop-\(service)"), into: &attributes)
            resource.attributes = attributes.bytes.withUnsafeBytes { batch.arena.keep($0) }
            resource.serviceName = batch.arena.keep("shop-\(service)")
            batch.resources.append(resource)
        }
        batch.scopes.append(SpanBatch.Scope())
        millis += 20
        for _ in 0..<50 {
            let id = TraceID(high: random.next(), low: random.next())
            var parent = SpanID(0)
            for depth in 0..<10 {
                var row = SpanRow()
                row.traceID = id
                row.spanID = SpanID(random.next())
                row.parentID = parent
                row.resource = UInt32(below(5))
                row.name = batch.arena.keep("POST /api/v1/cart/\(below(40))")
                row.kind = UInt8(1 + depth % 5)
                row.startNanos = millis * 1_000_000 + Int64(depth * 1000)
                row.endNanos = row.startNanos + Int64(below(50_000_000))
                var attributes = ByteWriter()
                AttributeCoding.encode("http.request.method", .string("POST"), into: &attributes)
                AttributeCoding.encode(
                    "http.response.status_code", .int(Int64(200 + below(3))), into: &attributes)
                AttributeCoding.encode(
                    "url.path", .string("/api/v1/cart/\(below(5000))"), into: &attributes)
                AttributeCoding.encode(
                    "server.address", .string("10.0.0.\(below(200))"), into: &attributes)
                row.attributes = attributes.bytes.withUnsafeBytes { batch.arena.keep($0) }
                parent = row.spanID
                batch.add(row)
            }
        }
        return batch
    }

    mutating func section(_ signal: Signal) -> (section: CommitSection, items: Int) {
        var writer = ByteWriter()
        let items: Int
        switch signal {
        case .metrics:
            let batch = metrics()
            batch.encode(into: &writer)
            items = batch.sampleSeries.count
        case .logs:
            let batch = logs()
            batch.encode(into: &writer)
            items = batch.rowCount
        case .traces, .correlation:
            let batch = spans()
            batch.encode(into: &writer)
            items = batch.rowCount
        }
        return (
            CommitSection(signal: signal == .correlation ? .traces : signal, payload: writer.bytes),
            items
        )
    }
}

/// Processor time of the process: the machine may be busy with other things.
private func processCPUSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

struct ReplayMeasurements {
    /// `TERN_REPLAY_MIB=64` fills logs of that size with one signal each, and one with all, and
    /// prints how fast they are replayed. In a release build, on an idle machine.
    @Test(.enabled(if: ProcessInfo.processInfo.environment["TERN_REPLAY_MIB"] != nil))
    func replaySpeed() async throws {
        let text = ProcessInfo.processInfo.environment["TERN_REPLAY_MIB"] ?? ""
        let wanted = (Int(text) ?? 64) << 20
        let only = ProcessInfo.processInfo.environment["TERN_REPLAY_SIGNAL"]
        let cases: [(name: String, signals: [Signal])] = [
            ("metrics", [.metrics]), ("logs", [.logs]), ("traces", [.traces]),
            ("all", [.metrics, .logs, .traces]),
        ]
        for one in cases where only == nil || only == one.name {
            try await withTemporaryDirectory { directory in
                try await measure(one.name, one.signals, wanted, directory + "/data")
            }
        }
    }

    private func stores() -> [any SignalStore] {
        [MetricStore(MetricStoreConfiguration()), LogStore(), TraceStore(), Correlation()]
    }

    private func measure(
        _ name: String, _ signals: [Signal], _ wanted: Int, _ path: String
    ) async throws {
        var configuration = KernelConfiguration(path: path, retentionSeconds: 0)
        configuration.minFreeBytes = 0
        let writer = try Kernel.open(configuration, stores: stores())
        var traffic = Traffic()
        var items = 0
        var records = 0
        while writer.status.logBytes < wanted {
            for signal in signals {
                let (section, count) = traffic.section(signal)
                writer.applied(try await writer.commit(tenant: "t", sections: [section]))
                items += count
                records += 1
            }
        }
        let bytes = writer.status.logBytes
        await writer.stop()
        var best = Double.infinity
        for _ in 0..<3 {
            let before = processCPUSeconds()
            let kernel = try Kernel.open(configuration, stores: stores())
            let cpu = processCPUSeconds() - before
            let status = kernel.status
            let seconds = Double(status.replay.nanos) / 1e9
            best = min(best, seconds)
            print(
                "replay \(name): \(bytes >> 20) MiB, \(records) records, \(items) items in \(seconds) s wall, "
                    + "\(cpu) s CPU; heads \(status.headBytes >> 20) MiB")
            await kernel.stop()
        }
        print(
            "replay \(name), best: \(Double(bytes) / 1e6 / best) MB/s, \(Double(records) / best) records/s, "
                + "\(Double(items) / best) items/s")
    }
}
