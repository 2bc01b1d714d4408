// SPDX-License-Identifier: Apache-2.0
// A trace is one answer however its pieces arrive, and whatever becomes of the files.

import FoundationEssentials
import Ingest
import Storage
import Telemetry
import TestKit
import Testing

@testable import Server

@Suite struct CorrelateArrivalTests {
    private struct Picture: Equatable, Sendable {
        var trace: TraceData
        var front: ServiceData
        var back: ServiceData

        init(_ server: CorrelateServer) async throws {
            trace = try await server.get("trace/" + Shop.trace, as: TraceData.self).data
            front = try await server.get("service/front?explain=1", as: ServiceData.self).data
            back = try await server.get("service/back?explain=1", as: ServiceData.self).data
        }
    }

    private enum Step: CaseIterable {
        case front, back, frontLine, backLine, metrics
    }

    private func send(_ step: Step, _ shop: Shop, to server: CorrelateServer) async throws {
        switch step {
        case .front: try await server.post("/v1/traces", shop.front)
        case .back: try await server.post("/v1/traces", shop.back)
        case .frontLine: try await server.post("/loki/api/v1/push", shop.frontLine)
        case .backLine: try await server.post("/loki/api/v1/push", shop.backLine)
        case .metrics:
            _ = try await server.core.pipeline.write(metrics: shop.metrics, tenant: .anonymous)
        }
    }

    /// What happens between two pieces.
    private enum Pause: CaseIterable {
        case nothing, crash, orderlyRestart, seal
    }

    @Test(arguments: 0..<4)
    private func piecesInAnyOrderAreOneAnswer(_ number: Int) async throws {
        let pause = Pause.allCases[number]
        let shop = Shop()
        let orders: [[Step]] = [
            Step.allCases, Step.allCases.reversed(),
            [.backLine, .back, .metrics, .frontLine, .front],
        ]
        var expected: Picture?
        for order in orders {
            let picture = try await withTemporaryDirectory { path in
                let path = path + "/data"
                if pause == .nothing || pause == .seal {
                    return try await CorrelateServer.run(path) { server in
                        for step in order {
                            try await send(step, shop, to: server)
                            if pause == .seal { try await server.core.kernel.sealNow() }
                        }
                        return try await Picture(server)
                    }
                }
                for step in order {
                    try await CorrelateServer.run(path, flush: pause == .orderlyRestart) {
                        try await send(step, shop, to: $0)
                    }
                }
                return try await CorrelateServer.run(path) { try await Picture($0) }
            }
            #expect(picture.trace.spanCount == 3)
            #expect(picture.trace.logs?.count == 2)
            #expect(picture.trace.exemplars?.count == 1)
            #expect(!picture.trace.partial)
            #expect(picture.front.downstream.map(\.service) == ["back"])
            #expect(picture == (expected ?? picture), "\(pause) \(order)")
            expected = picture
        }
    }

    @Test func mergingChangesNothing() async throws {
        let shop = Shop()
        try await withTemporaryDirectory { path in
            let path = path + "/data"
            let before = try await CorrelateServer.run(path) { server in
                // Parts of one day are merged when four times the largest are there.
                for step in Step.allCases + [Step](repeating: .frontLine, count: 5) {
                    try await send(step, shop, to: server)
                    try await server.core.kernel.sealNow()
                }
                let before = try await Picture(server)
                let parts = server.core.kernel.status.parts[.correlation]?.count ?? 0
                try await server.core.kernel.compactNow()
                #expect((server.core.kernel.status.parts[.correlation]?.count ?? 0) < parts)
                #expect(try await Picture(server) == before)
                return before
            }
            #expect(try await CorrelateServer.run(path) { try await Picture($0) } == before)
        }
    }

    /// A client that lost the answer sends again. Nothing is shown twice, ever; no span or call is counted
    /// twice, and no line while the first copy is in a head, also after a replay of the log.
    @Test func whatIsSentTwiceIsCountedOnce() async throws {
        let shop = Shop()
        try await withTemporaryDirectory { path in
            let path = path + "/data"
            let once = try await CorrelateServer.run(path) { server in
                try await shop.sendAll(to: server)
                let once = try await Picture(server)
                try await shop.sendAll(to: server)
                #expect(try await Picture(server) == once, "in one head")
                return once
            }
            try await CorrelateServer.run(path) { server in
                #expect(try await Picture(server) == once, "after replay")
                try await shop.sendAll(to: server)
                #expect(try await Picture(server) == once, "again after replay")
                try await server.core.kernel.sealNow()
                try await shop.sendAll(to: server)
                try check(try await Picture(server), once)
            }
            // Those of the second copy are in the log.
            try await CorrelateServer.run(path) { server in
                try check(try await Picture(server), once)
                try await shop.sendAll(to: server)
                try await server.core.kernel.sealNow()
                try await server.core.kernel.compactNow()
                try check(try await Picture(server), once)
            }
        }
    }

    /// Beyond the head's life the log store drops duplicates when it reads; lines of the service were
    /// counted before.
    private func check(_ later: Picture, _ once: Picture) throws {
        #expect(later.trace == once.trace)
        for (mine, other) in [(later.front, once.front), (later.back, once.back)] {
            #expect(mine.recentTraces == other.recentTraces)
            #expect(mine.downstream == other.downstream)
            #expect(mine.upstream == other.upstream)
            #expect(mine.operations == other.operations)
            #expect(mine.spanCount == other.spanCount)
            #expect(mine.errorTraces == other.errorTraces)
        }
    }

    @Test func aDamagedPartLeavesAPartialAnswer() async throws {
        let shop = Shop()
        try await withTemporaryDirectory { path in
            let path = path + "/data"
            try await CorrelateServer.run(path, flush: true) { try await shop.sendAll(to: $0) }
            // Parts of the four signals: in each answer exactly one is damaged.
            let folder = path + "/parts/"
            let names = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
            #expect(names.count == 4)
            for name in names {
                let good = try #require(FileManager.default.contents(atPath: folder + name))
                var bad = [UInt8](good)
                for offset in stride(from: 64, to: bad.count, by: 3) { bad[offset] ^= 0x5a }
                try Data(bad).write(to: URL(filePath: folder + name))
                try await CorrelateServer.run(path) { server in
                    let (status, body) = try await server.send(
                        "/api/v1/correlate/trace/" + Shop.trace)
                    let text = String(decoding: body, as: UTF8.self)
                    #expect(status == 200, "\(name): \(text)")
                    // Metrics lend a trace nothing that the index does not hold itself.
                    if text.contains("\"partial\":false") {
                        let series = try await server.get(
                            "series?match%5B%5D=requests_total", as: [SeriesData].self)
                        #expect(series.warnings?.contains { $0.contains(name) } ?? false)
                    } else {
                        #expect(text.contains("\"partial\":true"), "\(name): \(text)")
                        #expect(text.contains(name), "\(name): \(text)")
                    }
                }
                try good.write(to: URL(filePath: folder + name))
            }
            let whole = try await CorrelateServer.run(path) { try await Picture($0) }
            #expect(!whole.trace.partial)
        }
    }
}
