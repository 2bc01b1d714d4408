// SPDX-License-Identifier: Apache-2.0
// Log lines of the shop.

import Base
import Telemetry

/// Lines whose every byte follows from the seed and the line's number.
///
/// Line `i` is written within `lineEveryNanos` after `startNanos + i × lineEveryNanos`, so that times
/// are unique and tell the number. A third of the lines belong to the trace that starts at their
/// time: in the JSON or logfmt field, in the text, or in structured metadata.
package struct LogShape: Sendable {
    package let timeline: Timeline
    package let lineEveryNanos: Int64
    package let batchLines: Int
    /// Streams: services × pods.
    package let streams: [Labels]
    private let traces: TraceShape
    private let pods: [String]

    package init(timeline: Timeline, lineEveryNanos: Int64 = 2_000_000, batchLines: Int) {
        self.timeline = timeline
        self.lineEveryNanos = lineEveryNanos
        self.batchLines = batchLines
        traces = TraceShape(timeline: timeline, batchTraces: 1)
        var streams: [Labels] = []
        var pods: [String] = []
        for (s, service) in Shop.services.enumerated() {
            for p in 0..<Shop.pods {
                let pod = Shop.pod(s, p, seed: timeline.seed)
                pods.append(pod)
                streams.append(
                    Labels([
                        (name: "cluster", value: timeline.cluster),
                        (name: "namespace", value: "shop"),
                        (name: "service_name", value: service.name), (name: "pod", value: pod),
                        (name: "format", value: "\(service.format)"),
                    ]))
            }
        }
        self.streams = streams
        self.pods = pods
    }

    package func batchCount(lines: Int) -> Int { (lines + batchLines - 1) / batchLines }

    package func lines(ofBatch index: Int, lines: Int = .max) -> Range<Int> {
        index * batchLines..<min(lines, (index + 1) * batchLines)
    }

    /// Number of the line that has this time.
    package func line(at nanos: Int64) -> Int {
        Int((nanos - timeline.startNanos) / lineEveryNanos)
    }

    package func batch(_ index: Int, lines total: Int = .max) -> LogBatch {
        var batch = LogBatch()
        batch.arena.reserveCapacity(batchLines * 320)
        for stream in streams { _ = batch.addStream(stream) }
        for i in lines(ofBatch: index, lines: total) { add(line: i, to: &batch) }
        return batch
    }

    private func add(line i: Int, to batch: inout LogBatch) {
        var chance = Chance(seed: timeline.seed, 2, UInt64(i))
        let nanos =
            timeline.startNanos + Int64(i) * lineEveryNanos
            + Int64(chance.below(Int(lineEveryNanos)))
        var line = LineFacts()
        line.nanos = nanos
        let trace = Int((nanos - timeline.startNanos) / timeline.traceEveryNanos)
        if chance.happens(1, in: 3) {
            line.trace = traces.traceID(trace)
            let among = traces.services(ofTrace: trace)
            line.service = among[chance.skewed(among.count)]
            line.failed = traces.fails(trace)
            // Every trace starts with the gateway's span and has the frontend's as the third.
            if line.service < 2 { line.span = traces.spanID(trace, line.service * 2) }
        } else {
            line.service = chance.skewed(Shop.services.count)
            line.failed = chance.happens(1, in: 25)
        }
        line.pod = chance.below(Shop.pods)
        let stream = line.service * Shop.pods + line.pod
        let start = batch.arena.count
        switch Shop.services[line.service].format {
        case .nginx: appendNginx(line, &chance, to: &batch.arena)
        case .json: appendJSON(line, &chance, to: &batch.arena)
        case .logfmt: appendLogfmt(line, &chance, to: &batch.arena)
        case .java: appendJava(line, &chance, to: &batch.arena)
        }
        let text = ByteSlice(offset: start, count: batch.arena.count - start)
        let metadata = appendMetadata(line, to: &batch.arena)
        batch.addRow(
            stream: UInt32(stream), nanos: nanos, line: text, metadata: metadata,
            traceID: line.trace, spanID: line.span)
    }

    /// Access logs carry their ids beside the line, as an agent adds them.
    private func appendMetadata(_ line: LineFacts, to arena: inout [UInt8]) -> ByteSlice {
        guard Shop.services[line.service].format == .nginx, !line.trace.isZero else {
            return .empty
        }
        var writer = ByteWriter()
        let start = arena.count
        swap(&writer.bytes, &arena)
        if !line.span.isZero {
            writer.lengthPrefixed("span_id")
            writer.varint(16)
            writer.bytes.appendHex(line.span.rawValue)
        }
        writer.lengthPrefixed("trace_id")
        writer.varint(32)
        writer.bytes.appendHex(line.trace.high)
        writer.bytes.appendHex(line.trace.low)
        swap(&writer.bytes, &arena)
        return ByteSlice(offset: start, count: arena.count - start)
    }
}

/// What a line is about.
struct LineFacts {
    var nanos: Int64 = 0
    var service = 0
    var pod = 0
    var trace = TraceID.zero
    var span = SpanID.zero
    var failed = false
}

extension Array where Element == UInt8 {
    /// Appends text that is known when this is compiled.
    mutating func append(_ text: StaticString) {
        append(
            contentsOf: UnsafeRawBufferPointer(
                start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    mutating func append(number: Int) { appendDecimal(Int64(number), into: &self) }

    /// 16 lower-case hexadecimal digits.
    mutating func appendHex(_ value: UInt64) {
        for shift in stride(from: UInt64(60), through: 0, by: -4) {
            let nibble = UInt8(truncatingIfNeeded: value &>> shift) & 15
            append(nibble < 10 ? UInt8(ascii: "0") + nibble : UInt8(ascii: "a") + nibble - 10)
        }
    }

    mutating func append(_ trace: TraceID) {
        appendHex(trace.high)
        appendHex(trace.low)
    }

    /// A number of a fixed count of digits, with leading zeros.
    mutating func append(_ number: Int, digits: Int) {
        var divisor = 1
        for _ in 1..<digits { divisor *= 10 }
        while divisor > 0 {
            append(UInt8(ascii: "0") + UInt8(number / divisor % 10))
            divisor /= 10
        }
    }
}
