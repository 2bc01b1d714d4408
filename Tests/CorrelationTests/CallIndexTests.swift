// SPDX-License-Identifier: Apache-2.0
// Joining calls in any order, and calls as bytes.

import Base
import Storage
import Telemetry
import Testing

@testable import Correlation

@Suite struct CallIndexTests {
    private let services = ["front", "back", "bank", "mail"]

    /// Callers and callees of traces, of which some lack their other side.
    private func spans(_ traces: Int, seed: UInt64) -> [TestSpan] {
        var state = seed
        func below(_ n: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % n
        }
        var spans: [TestSpan] = []
        for n in 1...traces {
            let trace = TraceID(high: 7, low: UInt64(n))
            for call in 0..<3 {
                let id = UInt64(n * 10 + call), start = noon + Int64(n) * 1_000_000_000
                let failed = below(5) == 0
                let kinds: (UInt8, UInt8) = below(4) == 0 ? (4, 5) : (3, 2)
                if below(6) > 0 {
                    spans.append(
                        TestSpan(
                            service: services[below(4)], trace: trace, id: id, kind: kinds.0,
                            start: start, duration: Int64(below(1000) + 1) * 1000,
                            attributes: below(2) == 0 ? [("server.address", "host")] : []))
                }
                if below(6) > 0 {
                    spans.append(
                        TestSpan(
                            service: services[below(4)], trace: trace, id: id + 5, parent: id,
                            kind: kinds.1, start: start + 10, isError: failed))
                }
            }
        }
        return spans
    }

    private func calls(_ index: Correlation) -> [ServiceCall] {
        index.serviceCalls(tenant: tenant, range: .all).calls
    }

    /// What a plain reading of the rules says.
    private func expected(_ spans: [TestSpan]) -> [ServiceCall] {
        var counts: [CallPair: (UInt64, UInt64)] = [:]
        func count(_ caller: String, _ callee: String, _ isError: Bool) {
            if caller == callee { return }
            let old = counts[CallPair(caller: caller, callee: callee)] ?? (0, 0)
            counts[CallPair(caller: caller, callee: callee)] = (
                old.0 + 1, old.1 + (isError ? 1 : 0)
            )
        }
        let callees = Dictionary(grouping: spans.filter { $0.kind == 2 || $0.kind == 5 }) {
            SpanID($0.parent)
        }
        for caller in spans where caller.kind == 3 || caller.kind == 4 {
            let found = callees[SpanID(caller.id)] ?? []
            for callee in found {
                count(caller.service, callee.service, caller.isError || callee.isError)
            }
            if found.isEmpty, let peer = caller.attributes.first {
                count(caller.service, peer.1, caller.isError)
            }
        }
        return counts.map {
            ServiceCall(
                caller: $0.key.caller, callee: $0.key.callee, callCount: $0.value.0,
                errorCount: $0.value.1)
        }.sorted { ($0.caller, $0.callee) < ($1.caller, $1.callee) }
    }

    /// Enough that spans are joined while they come; in order, backwards, and the sides apart.
    @Test func theOrderOfArrivalMeansNothing() throws {
        let spans = spans(9000, seed: 3)
        let wanted = expected(spans)
        let apart =
            spans.filter { $0.kind == 2 || $0.kind == 5 }
            + spans.filter { $0.kind == 3 || $0.kind == 4 }
        for order in [spans, spans.reversed(), apart] {
            let index = Correlation()
            for start in stride(from: 0, to: order.count, by: 5000) {
                index.record(
                    spans: spanBatch(Array(order[start..<min(order.count, start + 5000)])),
                    tenant: tenant, generation: 1)
            }
            #expect(calls(index) == wanted)
            var shelf = Shelf()
            index.sealed(generation: 1, parts: try shelf.add(try index.seal(generation: 1)))
            #expect(calls(index) == wanted)
        }
    }

    @Test func sidesInManyPartsAreJoined() throws {
        let spans = spans(400, seed: 4)
        let index = Correlation()
        var shelf = Shelf()
        for generation in 0..<4 {
            let some = spans.indices.filter { $0 % 4 == generation }.map { spans[$0] }
            index.record(spans: spanBatch(some), tenant: tenant, generation: UInt64(generation))
            index.sealed(
                generation: UInt64(generation),
                parts: try shelf.add(try index.seal(generation: UInt64(generation))))
        }
        #expect(calls(index) == expected(spans))
        let inputs = shelf.handles
        let merged = try #require(try index.merge(inputs) { false }.first)
        index.replace(removed: inputs.map(\.descriptor.id), added: try shelf.add([merged]))
        #expect(calls(index) == expected(spans))
    }

    @Test func bytesKeepEverything() throws {
        let index = Correlation()
        index.record(spans: spanBatch(spans(300, seed: 5)), tenant: tenant, generation: 1)
        let (built, _) = index.calls(tenant, .all)
        let bytes = built.encoded()
        let decoded = try bytes.withUnsafeBytes { raw in
            var reader = ByteReader(raw)
            let calls = try CallIndex(decoding: &reader)
            #expect(reader.isAtEnd)
            return calls
        }
        #expect(decoded.encoded() == bytes)
        #expect(decoded.calls() == built.calls())
        #expect(decoded.rows.count == built.rows.count)
    }

    @Test func wrongBytesGiveFaults() throws {
        let index = Correlation()
        index.record(spans: spanBatch(spans(60, seed: 6)), tenant: tenant, generation: 1)
        let good = index.calls(tenant, .all).calls.encoded()
        var state: UInt64 = 9
        func below(_ n: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % n
        }
        var noticed = 0
        for _ in 0..<3000 {
            var bytes = good
            for _ in 0...below(3) { bytes[below(bytes.count)] = UInt8(below(256)) }
            if below(8) == 0 { bytes.removeLast(below(bytes.count)) }
            do {
                try bytes.withUnsafeBytes { raw in
                    var reader = ByteReader(raw)
                    _ = try CallIndex(decoding: &reader).calls()
                }
            } catch is MalformedBytes { noticed += 1 }
        }
        #expect(noticed > 500)
    }
}
