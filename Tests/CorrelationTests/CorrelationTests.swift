// SPDX-License-Identifier: Apache-2.0
// Recording, reading, sealing and merging.

import Base
import Correlation
import Glibc
import Storage
import Telemetry
import Testing

@Suite struct CorrelationTests {
    private func filled() -> Correlation {
        let index = Correlation()
        index.record(metrics: metricBatch(), tenant: tenant, generation: 1)
        index.record(logs: logBatch(), tenant: tenant, generation: 1)
        index.record(spans: spanBatch(frontSpans + backSpans), tenant: tenant, generation: 1)
        return index
    }

    @Test func whatIsRecordedIsFound() throws {
        let index = filled()
        let refs = index.traceRefs(traceA, tenant: tenant)
        #expect(refs.logs == [LogReference(streamHash: frontStream.hash, nanos: noon)])
        // The exemplar's id is in upper case and short of leading zeros.
        #expect(refs.exemplars.map(\.series) == [frontSeries])
        #expect(refs.exemplars.first?.labels == Labels([("traceID", "ABC0000000000000001")]))
        #expect(index.traceRefs(traceB, tenant: tenant).logs.count == 1)
        #expect(index.traceRefs(traceA, tenant: Tenant("other")).isEmpty)

        #expect(index.services(tenant: tenant, range: .all).map(\.name) == ["back", "front"])
        let front = try #require(index.service("front", tenant: tenant, range: .all))
        #expect(front.summary.namespace == "shop")
        #expect(front.summary.aliases == ["shop/front"])
        #expect(front.summary.spanCount == 2)
        #expect(front.summary.errorCount == 0)
        #expect(front.summary.logLineCount == 3)
        #expect(front.summary.errorLogLineCount == 1)
        #expect(front.summary.seriesCount == 1)
        #expect(front.summary.lastSeenNanos == noon + 2)
        #expect(front.instances == ["front-0", "front-0:80"])
        #expect(front.metricNames == ["http_requests_total"])
        #expect(front.streams == [frontStream])
        #expect(front.operations.map(\.name) == ["GET /", "call"])
        #expect(front.versions.map(\.version) == ["1.2"])
        #expect(front.versions.map(\.firstSeenNanos) == [noon])
        #expect(front.identity.map(\.rule) == ["service_name", "service.name", "job"])
        #expect(front.upstream == [])
        #expect(front.downstream.map(\.service) == ["back"])
        #expect(front.downstream.first?.errorCount == 1)

        let back = try #require(index.service("back", tenant: tenant, range: .all))
        #expect(back.upstream.map(\.service) == ["front"])
        #expect(back.downstream.map(\.service) == ["db-1"])
        #expect(back.summary.errorCount == 1)
        #expect(index.headBytes > 0)
        #expect(index.dropped == 0)
    }

    @Test func sealedPartsAnswerAsTheHeadDid() throws {
        let index = filled()
        let before = Everything(index)
        let drafts = try index.seal(generation: 1)
        #expect(drafts.count == 1)
        #expect(Everything(index) == before)
        var shelf = Shelf()
        index.sealed(generation: 1, parts: try shelf.add(drafts))
        #expect(index.headBytes == 0)
        #expect(Everything(index) == before)
        for handle in shelf.handles { #expect(index.verify(handle) == []) }

        let reopened = Correlation()
        for handle in shelf.handles { try reopened.open(handle) }
        #expect(Everything(reopened) == before)
    }

    @Test func observedRecordsAreLearnedOnce() throws {
        let index = Correlation()
        var records: [(Signal, [UInt8])] = []
        var writer = ByteWriter()
        metricBatch().encode(into: &writer)
        records.append((.metrics, writer.bytes))
        writer = ByteWriter()
        logBatch().encode(into: &writer)
        records.append((.logs, writer.bytes))
        writer = ByteWriter()
        spanBatch(frontSpans + backSpans).encode(into: &writer)
        records.append((.traces, writer.bytes))
        for _ in 0..<2 {
            for (signal, bytes) in records {
                try bytes.withUnsafeBytes {
                    try index.observe(
                        $0, from: signal, tenant: tenant.name, generation: 1, sequence: 7)
                }
            }
        }
        #expect(Everything(index) == Everything(filled()))
        #expect(throws: MalformedBytes.self) {
            try [UInt8]([9, 9]).withUnsafeBytes {
                try index.observe(
                    $0, from: .logs, tenant: tenant.name, generation: 1, sequence: 8)
            }
        }
    }

    /// A client that lost the answer sends again: two records, one span, also after a restart.
    @Test func spansOfTwoRecordsCountOnceAfterRecovery() throws {
        var first = ByteWriter(), second = ByteWriter()
        spanBatch(frontSpans).encode(into: &first)
        spanBatch(frontSpans + backSpans).encode(into: &second)
        let index = Correlation()
        for (sequence, bytes) in [first.bytes, second.bytes].enumerated() {
            try bytes.withUnsafeBytes {
                try index.observe(
                    $0, from: .traces, tenant: tenant.name, generation: 0,
                    sequence: UInt64(sequence))
            }
        }
        let live = Correlation()
        live.record(spans: spanBatch(frontSpans + backSpans), tenant: tenant, generation: 0)
        #expect(Everything(index) == Everything(live))
    }

    @Test func exemplarsNameTheirTraceInAnyCase() {
        for name in ["trace_id", "traceID", "TraceId", "TRACE_ID", "trace.id", "Trace.ID"] {
            var batch = MetricBatch()
            let series = batch.addSeries(frontSeries)
            let labels = Labels([(name: name, value: "abc0000000000000001")])
            batch.exemplarLabels.append(labels.bytes.withUnsafeBytes { batch.arena.keep($0) })
            batch.exemplarSeries.append(series)
            batch.exemplarMillis.append(1)
            batch.exemplarValues.append(1)
            let index = Correlation()
            index.record(metrics: batch, tenant: tenant, generation: 1)
            #expect(index.traceRefs(traceA, tenant: tenant).exemplars.count == 1, "\(name)")
        }
    }

    /// A call belongs to the stretch in which its caller starts, even over midnight.
    @Test func callsOverTheEndOfARangeStayWhole() {
        let midnight = (noon / nanosPerDay + 1) * nanosPerDay
        let index = Correlation()
        index.record(
            spans: spanBatch([
                TestSpan(
                    service: "front", id: 2, kind: 3, start: midnight - 5,
                    attributes: [("server.address", "back:80")])
            ]), tenant: tenant, generation: 1)
        index.record(
            spans: spanBatch([TestSpan(service: "back", id: 3, parent: 2, start: midnight + 5)]),
            tenant: tenant, generation: 2)
        let before = NanosRange(first: Nanos(midnight - 100), last: Nanos(midnight - 1))
        let after = NanosRange(first: Nanos(midnight), last: .max)
        let edges = index.service("front", tenant: tenant, range: before)?.downstream
        #expect(edges?.map(\.service) == ["back"])
        #expect(index.service("back", tenant: tenant, range: after)?.upstream == [])
    }

    @Test func headsAndPartsAreReadAsOne() throws {
        let whole = Correlation(), split = Correlation()
        var shelf = Shelf()
        for generation in UInt64(1)...2 {
            let shift = Int64(generation) * 400_000_000_000
            let spans = generation == 1 ? frontSpans : backSpans
            for index in [whole, split] {
                // The same exemplar each time, other lines, and the two sides of one call apart.
                index.record(metrics: metricBatch(), tenant: tenant, generation: generation)
                index.record(
                    logs: logBatch(nanos: noon + shift), tenant: tenant, generation: generation)
                index.record(spans: spanBatch(spans), tenant: tenant, generation: generation)
            }
            if generation == 1 {
                split.sealed(
                    generation: 1, parts: try shelf.add(try split.seal(generation: 1)))
            }
        }
        #expect(Everything(split) == Everything(whole))
        let refs = split.traceRefs(traceA, tenant: tenant)
        #expect(refs.logs.count == 2)
        #expect(refs.exemplars.count == 1)
        #expect(
            split.service("front", tenant: tenant, range: .all)?.downstream.map(\.service)
                == ["back"])

        split.sealed(generation: 2, parts: try shelf.add(try split.seal(generation: 2)))
        let inputs = shelf.handles
        #expect(inputs.count == 2)
        let merged = try #require(try split.merge(inputs) { false }.first)
        split.replace(removed: inputs.map(\.descriptor.id), added: try shelf.add([merged]))
        #expect(Everything(split) == Everything(whole))
        #expect(throws: CancellationError.self) { _ = try split.merge(inputs) { true } }
        var small = CorrelationConfiguration()
        small.maxSectionBytes = 100
        #expect(throws: PartCorruption.self) {
            _ = try Correlation(small).merge(inputs) { false }
        }

        // Counts follow the five minutes of the range.
        let early = NanosRange(first: Nanos(noon - 1), last: Nanos(noon + 1))
        let late = NanosRange(first: Nanos(noon + 800_000_000_000), last: .max)
        let front = split.services(tenant: tenant, range: early).first { $0.name == "front" }
        #expect(front?.spanCount == 2)
        #expect(split.services(tenant: tenant, range: late).map(\.logLineCount) == [3])
    }

    @Test func daysBecomePartsOfTheirOwn() throws {
        let index = Correlation()
        for day in Int64(0)..<3 {
            index.record(
                logs: logBatch(nanos: noon + day * nanosPerDay), tenant: tenant, generation: 1)
        }
        index.record(logs: logBatch(nanos: .max - 2), tenant: tenant, generation: 1)
        index.record(logs: logBatch(nanos: .min), tenant: Tenant("b"), generation: 1)
        index.record(metrics: metricBatch(millis: .max), tenant: tenant, generation: 1)
        let before = Everything(index)
        let drafts = try index.seal(generation: 1)
        #expect(drafts.map(\.tenant) == ["anonymous", "anonymous", "anonymous", "anonymous", "b"])
        for draft in drafts {
            #expect(utcDay(ofNanos: draft.minNanos) == draft.day)
            #expect(utcDay(ofNanos: draft.maxNanos) == draft.day)
        }
        var shelf = Shelf()
        index.sealed(generation: 1, parts: try shelf.add(drafts))
        #expect(Everything(index) == before)
        #expect(index.traceRefs(traceA, tenant: tenant).logs.count == 4)
    }

    @Test func quantilesAreOffByLessThanOnePercent() {
        var histogram = DurationHistogram()
        for i in Int64(1)...10_000 { histogram.add(nanos: i * 7_919) }
        for q in [0.5, 0.95, 0.99] {
            let exact = Double(Int64(q * 9_999) + 1) * 7_919
            #expect(abs(Double(histogram.quantile(q)) - exact) / exact <= 0.0101, "\(q)")
        }
        histogram = DurationHistogram()
        for nanos in [50_000_000, 100_000_000] as [Int64] { histogram.add(nanos: nanos) }
        #expect(abs(histogram.quantile(0.5) - 50_000_000) < 500_000)
        #expect(abs(histogram.quantile(0.95) - 100_000_000) < 1_000_000)
        histogram = DurationHistogram()
        for nanos in [Int64.min, -1, 0, .max] { histogram.add(nanos: nanos) }
        #expect(histogram.count == 4)
        #expect(histogram.quantile(0) == 0)
        #expect(histogram.quantile(1) > Int64.max / 100 * 98)
    }

    @Test func bucketsOfDurationsAreThoseOfTheLogarithm() {
        var state: UInt64 = 7
        var durations = Array(Int64.max - 9...Int64.max) + Array(0...4096)
        for bit in 0..<63 { durations += [(1 << bit) - 1, 1 << bit, (1 << bit) | 1] }
        for _ in 0..<200_000 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            durations.append(Int64((state >> 1) >> (state & 63)))
        }
        for nanos in durations {
            let exact = nanos > 1 ? (log(Double(nanos)) / log(1.02)).rounded(.up) : 0
            let wanted = min(DurationHistogram.maxIndex, UInt16(exact))
            #expect(DurationHistogram.index(nanos) == wanted, "\(nanos)")
        }
    }

    /// Lines are counted by stream before their services are told.
    @Test func countsOfLinesAreThereWhenAsked() throws {
        let index = Correlation()
        let minutes = [0, 6, 0, 12, 6, 0].map { noon + Int64($0) * 60_000_000_000 }
        var counts: [Int64: UInt64] = [:]
        for (turn, nanos) in minutes.enumerated() {
            index.record(logs: logBatch(nanos: nanos), tenant: tenant, generation: 1)
            counts[nanos, default: 0] += 3
            // Asking in between changes nothing.
            if turn % 2 == 1 { continue }
            for (nanos, count) in counts {
                let range = NanosRange(first: Nanos(nanos), last: Nanos(nanos + 2))
                let front = try #require(index.service("front", tenant: tenant, range: range))
                #expect(front.summary.logLineCount == count)
                #expect(front.summary.errorLogLineCount == count / 3)
                #expect(front.summary.lastSeenNanos == nanos + 2)
            }
        }
    }

    @Test func limitsHoldAndAreCounted() throws {
        var limits = CorrelationConfiguration()
        limits.maxServices = 1
        limits.maxOperations = 1
        limits.maxReferencesPerTrace = 1
        limits.maxCallSpans = 1
        let index = Correlation(limits)
        index.record(spans: spanBatch(frontSpans + backSpans), tenant: tenant, generation: 1)
        for i in Int64(0)..<3 {
            index.record(logs: logBatch(nanos: noon + i << 30), tenant: tenant, generation: 1)
        }
        let front = index.service("front", tenant: tenant, range: .all)
        #expect(front?.operations.map(\.name) == ["(other)", "GET /"])
        #expect(index.service("back", tenant: tenant, range: .all) == nil)
        #expect(index.traceRefs(traceA, tenant: tenant).logs.count == 1)
        #expect(index.dropped == 5)
        var shelf = Shelf()
        index.sealed(generation: 1, parts: try shelf.add(try index.seal(generation: 1)))
        #expect(index.traceRefs(traceA, tenant: tenant).logs.count == 1)
    }
}
