// SPDX-License-Identifier: Apache-2.0
// `lab bench decode`: what each wire decoder costs per item.

import ArgumentParser
import Base
import Glibc
import Telemetry
import TestKit
import Wire

struct DecodeBench: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "decode", abstract: "Time and allocations of the wire decoders.")
    @Option(help: "Rounds over the prepared bodies.")
    var rounds = 20
    @Option(help: "Seed of the data.")
    var seed: UInt64 = 1

    func run() throws {
        let timeline = Timeline(seed: seed, startNanos: 1_800_000_000_000_000_000)
        let metrics = MetricShape(timeline: timeline, hosts: 20, batchSamples: 2000)
        let logs = LogShape(timeline: timeline, batchLines: 2000)
        let traces = TraceShape(timeline: timeline, batchTraces: 25)
        var table = MarkdownTable(
            "decoder", "items/body", "bytes/body", "ns/item", "MB/s", "allocations/body",
            "allocations/item")
        func add(
            _ name: String, _ bodies: [[UInt8]],
            _ decode: (UnsafeRawBufferPointer) throws -> Int
        ) throws {
            let cost = try measure(bodies, decode)
            let n = Double(cost.items)
            table.row(
                name, decimals(n / Double(rounds * bodies.count), 0),
                decimals(Double(cost.bytes) / Double(rounds * bodies.count), 0),
                decimals(cost.seconds * 1e9 / n, 0),
                decimals(Double(cost.bytes) / 1e6 / cost.seconds, 0),
                decimals(Double(cost.allocations) / Double(rounds * bodies.count), 0),
                decimals(Double(cost.allocations) / n, 3))
        }
        let batches = (0..<4).map { metrics.batch($0) }
        try add(
            "remote write 1.0", try batches.map { try RemoteWrite1.encode($0) }
        ) { try RemoteWrite1.decode($0).batch.sampleSeries.count }
        try add(
            "remote write 2.0", try batches.map { try RemoteWrite2.encode($0) }
        ) { try RemoteWrite2.decode($0).batch.sampleSeries.count }
        let lines = (0..<5).map { logs.batch($0) }
        try add("Loki push, protobuf", lines.map { LokiPush.encodeProtobuf($0) }) {
            try LokiPush.decodeProtobuf($0).batch.rowCount
        }
        try add("Loki push, JSON", lines.map { LokiPush.encodeJSON($0) }) {
            try LokiPush.decodeJSON($0).batch.rowCount
        }
        try add("OTLP logs, protobuf", lines.map { OTLPLogs.encode($0) }) {
            let options = OTLPLogs.Options(receivedNanos: timeline.startNanos)
            return try OTLPLogs.decodeProtobuf($0, options).batch.rowCount
        }
        let spans = (0..<5).map { traces.batch($0) }
        try add(
            "OTLP traces, protobuf", try spans.map { try OTLPTraces.encode($0) }
        ) { try OTLPTraces.decodeProtobuf($0).batch.rowCount }
        say("## Decoders, in process, one thread\n")
        say(table.text)
        say(
            AllocationCount.isCounting
                ? "Allocations are those of Swift objects, among them every array's storage."
                : "Allocations could not be counted: the runtime has no hook.")
    }

    private struct Cost {
        var seconds = 0.0
        var items = 0
        var bytes = 0
        var allocations = 0
    }

    private func measure(
        _ bodies: [[UInt8]], _ decode: (UnsafeRawBufferPointer) throws -> Int
    ) throws -> Cost {
        for body in bodies { _ = try body.withUnsafeBytes { try decode($0) } }
        var cost = Cost()
        let start = threadNanos()
        for _ in 0..<rounds {
            for body in bodies {
                cost.items += try body.withUnsafeBytes { try decode($0) }
                cost.bytes += body.count
            }
        }
        cost.seconds = Double(threadNanos() - start) / 1e9
        // Counted apart, since counting costs time.
        cost.allocations = try AllocationCount.during {
            for _ in 0..<rounds {
                for body in bodies { _ = try body.withUnsafeBytes { try decode($0) } }
            }
        }
        return cost
    }

    private func threadNanos() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}
