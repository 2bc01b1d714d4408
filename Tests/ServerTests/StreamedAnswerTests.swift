// SPDX-License-Identifier: Apache-2.0
// Answers too large to be made whole.

import Base
import Glibc
import Telemetry
import TestKit
import Testing

@testable import Server

@Suite(.serialized) struct StreamedAnswerTests {
    private static let seriesCount = 60

    /// Stores series of one sample each; returns its time in seconds.
    private func fill(_ server: TestServer) async throws -> Int64 {
        let seconds = nowMillis / 1000 - 400
        let series = (0..<Self.seriesCount).map { index in
            TestSeries(
                [("__name__", "wide"), ("quoted", "a\"\(10 + index)")],
                [(Double(index) + 0.25, seconds * 1000)])
        }
        let stored = try await server.post(
            "/api/v1/write", protobuf, Snappy.compress(remoteWriteMessage(series)))
        #expect(stored.status == 204)
        return seconds
    }

    /// What a range of one-second steps from the time of the samples on has to answer.
    private func expected(_ seconds: Int64, points: Int64) -> String {
        var series: [String] = []
        for index in 0..<Self.seriesCount {
            let values = (0..<points).map { #"[\#(seconds + $0),"\#(index).25"]"# }
            series.append(
                #"{"metric":{"__name__":"wide","quoted":"a\"\#(10 + index)"},"values":["#
                    + values.joined(separator: ",") + "]}")
        }
        return #"{"status":"success","data":{"resultType":"matrix","result":["#
            + series.joined(separator: ",") + "]}}"
    }

    private func target(_ seconds: Int64, points: Int64) -> String {
        "/api/v1/query_range?query=wide&start=\(seconds)&end=\(seconds + points - 1)&step=1"
    }

    @Test func piecesMakeUpTheWholeHoweverPacked() async throws {
        try await withServer { server in
            let seconds = try await fill(server)
            let wanted = expected(seconds, points: 300)
            #expect(wanted.utf8.count > APIResponse.wholeBytes)
            for coding in ["identity", "gzip", "deflate"] {
                let reply = try await server.send(
                    "GET", target(seconds, points: 300), headers: [("Accept-Encoding", coding)])
                #expect(reply.status == 200)
                #expect(reply.headers["transfer-encoding"] == "chunked")
                #expect(reply.headers["content-type"] == "application/json")
                var body = reply.body
                if coding != "identity" {
                    #expect(reply.headers["content-encoding"] == coding)
                    #expect(body.count < wanted.utf8.count / 4)
                    body = try reply.body.withUnsafeBytes {
                        try Deflate.decompress(
                            $0, coding == "gzip" ? .gzip : .deflate, limit: 1 << 24)
                    }
                }
                #expect(body == Array(wanted.utf8), "\(coding)")
            }
            // Short ones state their length.
            let short = try await server.get(target(seconds, points: 3))
            #expect(short.headers["content-length"] != nil)
            #expect(short.text == expected(seconds, points: 3))
            #expect(server.core.queries.budget.heldBytes == 0)
        }
    }

    @Test func limitsAndWarningsStandAtTheEnd() async throws {
        try await withServer { server in
            let seconds = try await fill(server)
            let reply = try await server.get(target(seconds, points: 300) + "&limit=50")
            #expect(reply.text.hasSuffix(#"]]}]},"warnings":["results truncated due to limit"]}"#))
            #expect(reply.text.contains(#""quoted":"a\"59""#))
            #expect(!reply.text.contains(#""quoted":"a\"60""#))
        }
    }

    @Test func whoTakesNothingIsCutOffAndHoldsNoMemory() async throws {
        try await withServer({ $0.connection.writeSeconds = 0.5 }) { server in
            let seconds = try await fill(server)
            // More than the socket buffers of both sides take.
            let line =
                "GET /api/v1/query_range?query=last_over_time(wide%5B4h%5D)&start=\(seconds)"
                + "&end=\(seconds + 10_999)&step=1 HTTP/1.1\r\nHost: x\r\n\r\n"
            let budget = server.core.queries.budget
            let port = server.port
            let (began, ended) = try await onThread {
                let connection = try RawConnection(port: port)
                connection.send(line)
                // The answer begins when its evaluation has ended.
                let first = connection.receive(seconds: 30)
                let held = budget.heldBytes
                var waits = 0
                while budget.heldBytes > 0, waits < 300 {
                    usleep(100_000)
                    waits += 1
                }
                return (first != nil && held > 0, budget.heldBytes == 0)
            }
            #expect(began)
            #expect(ended)
        }
    }
}
