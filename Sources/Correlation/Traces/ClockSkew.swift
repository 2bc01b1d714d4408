// SPDX-License-Identifier: Apache-2.0
// Spans of hosts whose clocks differ.

import Base
import Telemetry

/// A trace with the times of spans from other hosts moved to where their callers say they were.
///
/// A span and its parent on one host share a clock, and nothing is moved between them. Where the
/// host changes, or is unknown, a child that lies outside its parent is moved: into the middle of
/// the parent when it fits, else so that it does not begin before the parent; all that follows on
/// the same host moves with it. Spans that name no parent, or one that is not there, stay.
///
/// It is a guess, so it is made only when asked for, and each span that was moved says by how much.
/// Source: jaegertracing/jaeger, the clock-skew adjuster of its query service, whose rule this is.
package struct ClockSkew: Sendable {
    /// The trace with its times and those of its events moved.
    package private(set) var spans: SpanBatch
    /// Nanoseconds that a row was moved by; rows that stayed are left out.
    package private(set) var shifts: [Int: Int64] = [:]

    /// O(spans). Cycles and repeated ids are harmless: each row is placed once.
    ///
    /// - Parameter trace: the spans of one trace.
    package init(_ trace: SpanBatch) {
        spans = trace
        let hosts = (0..<trace.resources.count).map { ClockSkew.host(of: $0, trace) }
        var rowOf: [SpanID: Int] = [:]
        for row in 0..<trace.rowCount where rowOf[trace.spanIDs[row]] == nil {
            rowOf[trace.spanIDs[row]] = row
        }
        var children: [Int: [Int]] = [:]
        var stack: [(row: Int, parent: Int?, shift: Int64)] = []
        for row in 0..<trace.rowCount {
            if let parent = rowOf[trace.parentIDs[row]], !trace.parentIDs[row].isZero, parent != row
            {
                children[parent, default: []].append(row)
            } else {
                stack.append((row, nil, 0))
            }
        }
        var isPlaced = [Bool](repeating: false, count: trace.rowCount)
        while let next = stack.popLast() {
            if isPlaced[next.row] { continue }
            isPlaced[next.row] = true
            var shift = next.shift
            let host = hosts[Int(trace.rowResources[next.row])]
            if let parent = next.parent {
                let above = hosts[Int(trace.rowResources[parent])]
                if host.isEmpty || host != above { shift = skew(of: next.row, in: parent) }
            }
            move(next.row, by: shift)
            for child in children[next.row] ?? [] { stack.append((child, next.row, shift)) }
        }
        moveEvents()
    }

    /// What names the machine of a resource; empty when nothing does.
    private static func host(of resource: Int, _ trace: SpanBatch) -> String {
        let list = trace.arena.withSlice(trace.resources[resource].attributes) {
            (try? AttributeCoding.decodeList($0)) ?? []
        }
        for key in ["host.id", "host.ip", "ip", "host.name"] {
            switch list.first(where: { $0.key == key })?.value {
            case .string(let text)? where !text.isEmpty: return text
            case .array(let values)?:
                if case .string(let text)? = values.first, !text.isEmpty { return text }
            default: continue
            }
        }
        return ""
    }

    /// How far a child must move to fit its parent, which stands where it shall.
    private func skew(of child: Int, in parent: Int) -> Int64 {
        let (start, end) = (
            spans.startNanos[child], max(spans.startNanos[child], spans.endNanos[child])
        )
        let (first, last) = (
            spans.startNanos[parent], max(spans.startNanos[parent], spans.endNanos[parent])
        )
        let length = distance(start, end)
        let room = distance(first, last)
        if length > room { return start < first ? distance(start, first) : 0 }
        if start >= first, end <= last { return 0 }
        // As long on the way there as on the way back.
        let (place, overflow) = first.addingReportingOverflow((room - length) / 2)
        let (shift, overflow2) = place.subtractingReportingOverflow(start)
        return overflow || overflow2 ? 0 : shift
    }

    private mutating func move(_ row: Int, by shift: Int64) {
        if shift == 0 { return }
        let (start, overflow) = spans.startNanos[row].addingReportingOverflow(shift)
        let (end, overflow2) = spans.endNanos[row].addingReportingOverflow(shift)
        if overflow || overflow2 { return }
        spans.startNanos[row] = start
        spans.endNanos[row] = end
        shifts[row] = shift
    }

    private mutating func moveEvents() {
        for (row, shift) in shifts where !spans.events[row].isEmpty {
            let events = spans.arena.withSlice(spans.events[row]) {
                try? SpanEventCoding.decode($0)
            }
            // Damage is met again, and told, where events are written.
            guard let events else { continue }
            var moved = ByteWriter()
            for event in events {
                let (nanos, overflow) = event.nanos.addingReportingOverflow(shift)
                var name = event.name
                name.withUTF8 { name in
                    event.attributes.withUnsafeBytes { attributes in
                        SpanEventCoding.encode(
                            nanos: overflow ? event.nanos : nanos,
                            name: UnsafeRawBufferPointer(name),
                            droppedAttributes: event.droppedAttributes, attributes: attributes,
                            into: &moved)
                    }
                }
            }
            spans.events[row] = moved.bytes.withUnsafeBytes { spans.arena.keep($0) }
        }
    }
}
