// SPDX-License-Identifier: Apache-2.0
// Spans of hosts whose clocks differ.

import Base
import Telemetry
import Testing

@testable import Correlation

@Suite struct ClockSkewTests {
    /// A batch of spans `(id, parent, host, start, end)`; the empty host is unknown.
    private func trace(
        _ spans: [(id: UInt64, parent: UInt64, host: String, start: Int64, end: Int64)]
    ) -> SpanBatch {
        var batch = SpanBatch()
        for span in spans {
            var list = ByteWriter()
            if !span.host.isEmpty {
                AttributeCoding.encode("host.name", .string(span.host), into: &list)
            }
            var resource = SpanBatch.Resource()
            resource.attributes = list.bytes.withUnsafeBytes { batch.arena.keep($0) }
            batch.resources.append(resource)
            if batch.scopes.isEmpty { batch.scopes.append(SpanBatch.Scope()) }
            var events = ByteWriter()
            let empty = UnsafeRawBufferPointer(start: nil, count: 0)
            SpanEventCoding.encode(
                nanos: span.start + 1, name: empty, droppedAttributes: 0, attributes: empty,
                into: &events)
            var row = SpanRow()
            row.traceID = TraceID(high: 0, low: 1)
            row.spanID = SpanID(span.id)
            row.parentID = SpanID(span.parent)
            row.resource = UInt32(batch.resources.count - 1)
            row.startNanos = span.start
            row.endNanos = span.end
            row.events = events.bytes.withUnsafeBytes { batch.arena.keep($0) }
            batch.add(row)
        }
        return batch
    }

    @Test func childrenOfOtherHostsAreCentred() throws {
        let skew = ClockSkew(
            trace([
                (1, 0, "a", 1000, 2000), (2, 1, "b", 5000, 5400), (3, 2, "b", 5100, 5200),
            ]))
        #expect(skew.shifts == [1: -3700, 2: -3700])
        #expect(skew.spans.startNanos == [1000, 1300, 1400])
        #expect(skew.spans.endNanos == [2000, 1700, 1500])
        let events = try skew.spans.events.map { slice in
            try skew.spans.arena.withSlice(slice) { try SpanEventCoding.decode($0) }
        }
        #expect(events.map { $0.first?.nanos } == [1001, 1301, 1401])
    }

    @Test func whatFitsOrSharesAClockStays() {
        #expect(ClockSkew(trace([(1, 0, "a", 10, 90), (2, 1, "b", 20, 80)])).shifts.isEmpty)
        // One host: the child really began before its parent.
        #expect(ClockSkew(trace([(1, 0, "a", 10, 90), (2, 1, "a", 0, 80)])).shifts.isEmpty)
        // A parent that is not there.
        #expect(ClockSkew(trace([(1, 0, "a", 10, 90), (2, 9, "b", 0, 5)])).shifts.isEmpty)
    }

    @Test func longChildrenOnlyMayNotBeginEarlier() {
        #expect(
            ClockSkew(trace([(1, 0, "a", 100, 200), (2, 1, "b", 40, 400)])).shifts == [1: 60])
        #expect(
            ClockSkew(trace([(1, 0, "a", 100, 200), (2, 1, "b", 140, 400)])).shifts.isEmpty)
    }

    @Test func unknownHostsHaveClocksOfTheirOwn() {
        #expect(ClockSkew(trace([(1, 0, "", 100, 200), (2, 1, "", 0, 50)])).shifts == [1: 125])
    }

    @Test func ringsRepeatedIDsAndExtremesAreHarmless() {
        let ring = ClockSkew(trace([(1, 2, "a", 0, 1), (2, 1, "b", 5, 6), (3, 3, "c", 7, 8)]))
        #expect(ring.shifts.isEmpty)
        let twice = ClockSkew(
            trace([(1, 0, "a", 0, 10), (2, 1, "b", 50, 52), (2, 1, "b", 60, 62)]))
        #expect(twice.shifts == [1: -46, 2: -56])
        let extreme = ClockSkew(
            trace([(1, 0, "a", .min, .min + 1), (2, 1, "b", .max - 1, .max - 1)]))
        #expect(extreme.shifts.isEmpty)
    }
}
