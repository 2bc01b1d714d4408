// SPDX-License-Identifier: Apache-2.0
// stats over HTTP.

import Base
import LogQL
import Synchronization
import Telemetry
import TestKit
import Testing

@testable import Server

@Suite(.serialized) struct StatisticsTests {
    /// The part of an answer that counts samples, without the peak.
    private func samples(_ reply: HTTPReply) -> String {
        let text = reply.text
        guard let start = text.firstRange(of: #""samples":{"#),
            let end = text.firstRange(of: #","peakS"#)
        else { return text }
        return String(text[start.upperBound..<end.lowerBound])
    }

    @Test func samplesAreShownByStepWhereThatIsSwitchedOn() async throws {
        let now = nowMillis / 60_000 * 60
        let series = (0..<2).map { number in
            TestSeries(
                [("__name__", "x_total"), ("n", "\(number)")],
                (0..<12).map { (Double($0), (now - 165 + Int64($0) * 15) * 1000) })
        }
        let query = "query=" + percentEncoded("rate(x_total[1m])")
        let range = "/api/v1/query_range?\(query)&step=30&start=\(now - 60)&end=\(now)"
        let totals = #""totalQueryableSamples":24,"#
        let read = #""samplesRead":16"#
        let byStep =
            #""totalQueryableSamplesPerStep":[[\#(now - 60),8],[\#(now - 30),8],[\#(now),8]],"#
            + totals
            + #""samplesReadPerStep":[[\#(now - 60),8],[\#(now - 30),4],[\#(now),4]],"# + read
        for isOn in [false, true] {
            try await withServer({ if isOn { _ = $0.features.enable("promql-per-step-stats") } }) {
                server in
                let reply = try await server.post(
                    "/api/v1/write", protobuf, Snappy.compress(remoteWriteMessage(series)))
                #expect(reply.status == 204, "\(reply.text)")
                let all = try await server.get(range + "&stats=all")
                #expect(samples(all) == (isOn ? byStep : totals + read))
                let some = try await server.get(range + "&stats=true")
                #expect(samples(some) == totals + read)
                let instant = try await server.get(
                    "/api/v1/query?\(query)&time=\(now).25&stats=all")
                #expect(
                    samples(instant).contains(
                        isOn ? "PerStep\":[[\(now).25,8]]," : "\"totalQueryableSamples\":8,"))
                let features = try await server.get("/api/v1/features")
                #expect(features.text.contains(#""per_step_stats":\#(isOn)"#))
                let none = try await server.get(range)
                #expect(!none.text.contains("stats"))
            }
        }
    }

    @Test func theCacheOfChunksIsThatOfDecompressedPieces() {
        let context = ReadContext()
        context.cache.requested.wrappingAdd(5, ordering: .relaxed)
        context.cache.found.wrappingAdd(3, ordering: .relaxed)
        context.cache.stored.wrappingAdd(2, ordering: .relaxed)
        context.cache.foundBytes.wrappingAdd(300, ordering: .relaxed)
        context.cache.storedBytes.wrappingAdd(200, ordering: .relaxed)
        var json = JSONWriter(reserving: 4096)
        json.beginObject()
        LokiStatistics(LogQLStatistics(), returned: 0, context, queueNanos: 0).write(into: &json)
        json.endObject()
        let text = String(decoding: json.bytes, as: UTF8.self)
        #expect(
            text.contains(
                #""cache":{"chunk":{"entriesFound":3,"entriesRequested":5,"entriesStored":2,"bytesReceived":300,"bytesSent":200,"requests":5,"downloadTime":0,"queryLengthServed":0},"index":{"entriesFound":0"#
            ), "\(text)")
    }
}
