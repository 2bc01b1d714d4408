// SPDX-License-Identifier: Apache-2.0
// Parameters of the log API against public cases.

import Base
import HTTPTypes
import Ingest
import Telemetry
import TestKit
import Testing

@testable import Server

@Suite struct LokiParameterTests {
    private func rows(_ name: String) throws -> [CorpusJSON] {
        guard let bytes = Corpora.file("logql/wire/params-\(name).json") else { return [] }
        return try CorpusJSON(parsing: bytes).array
    }

    /// A request as the cases write it: a path with a query, not escaped.
    private func request(_ text: String) -> APIRequest {
        let parts = text.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        var request = APIRequest(method: .get, path: String(parts[0]))
        request.parameters = (parts.last ?? "").split(separator: "&").map { pair in
            let sides = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return (String(sides[0]), sides.count > 1 ? String(sides[1]) : "")
        }
        return request
    }

    /// Nanoseconds of a time of the cases; nil for one that is left to the clock.
    private func nanos(_ value: CorpusJSON?) -> Int64? {
        if let text = value?.string {
            return parseRFC3339(text).map { $0.seconds * 1_000_000_000 + $0.nanos }
        }
        if let text = value?["unixNs"]?.string { return Int64(text) }
        let arguments = value?["args"]?.array ?? []
        guard arguments.count == 2, let seconds = arguments[0].int, let rest = arguments[1].int
        else { return nil }
        return seconds * 1_000_000_000 + rest
    }

    private func millis(_ value: CorpusJSON?) -> Int64? {
        value?["ms"]?.int ?? value?.int.map { $0 > 1_000_000 ? $0 / 1_000_000 : $0 }
    }

    private func isWrong(_ row: CorpusJSON) -> Bool {
        row["wantErr"]?.bool ?? (row["wantErr"]?["func"]?.bool ?? false)
    }

    private func endpoints(_ server: TestServer) -> LokiQueryEndpoints {
        LokiQueryEndpoints(service: server.core.queries) { _ in
            var limits = LogTenantLimits()
            limits.maxEntriesPerQuery = 0
            return limits
        }
    }

    @Test func timesAreRead() throws {
        for row in try rows("timestamp") {
            let value = row["value"]?.string ?? ""
            if isWrong(row) {
                #expect(throws: APIError.self) { try lokiTime(value) }
            } else if !value.isEmpty {
                #expect(try lokiTime(value) == nanos(row["want"]), "\(value)")
            }
        }
    }

    @Test func boundsFollowStartEndAndSince() async throws {
        let rows = try rows("bounds")
        for row in rows {
            let arguments = row["args"]
            let clock = ManualClock(wallNanos: nanos(arguments?["now"]) ?? 0)
            try await withServer { server in
                let core = server.core.queries
                let service = QueryService(
                    metrics: core.metrics, logs: core.logs, traces: core.traces, clock: clock,
                    limits: core.limits, threads: 1)
                let logs = LokiQueryEndpoints(service: service)
                var request = APIRequest(method: .get, path: "/")
                for (name, key) in [
                    ("start", "startString"), ("end", "endString"), ("since", "sinceString"),
                ] {
                    request.parameters.append((name, arguments?[key]?.string ?? ""))
                }
                if isWrong(row) {
                    #expect(throws: APIError.self) { try logs.bounds(request) }
                } else {
                    let (start, end) = try logs.bounds(request)
                    #expect(start == nanos(row["start"]) && end == nanos(row["end"]), "\(row)")
                }
                service.stop()
            }
        }
    }

    @Test func requestsAreAcceptedAndRefused() async throws {
        try await withServer { server in
            let logs = endpoints(server)
            for name in ["query-range", "query", "labels"] {
                for row in try rows(name) {
                    let request = request(row["url"]?.string ?? "")
                    let handler =
                        name == "query"
                        ? logs.query : name == "labels" ? logs.labels : logs.queryRange
                    do {
                        _ = try await handler(request)
                        #expect(!isWrong(row), "\(row)")
                    } catch let error as APIError {
                        #expect(error.kind == .badData)
                        // Log queries are no instant queries, which the cases' parser does not say.
                        let isInstant = error.message.hasPrefix("log queries are not supported")
                        #expect(isWrong(row) || isInstant, "\(row): \(error)")
                    }
                }
            }
        }
    }

    @Test func stepsAreReadAndBounded() async throws {
        try await withServer { server in
            let logs = endpoints(server)
            let patterns = try rows("patterns")
            for (number, row) in (patterns + (try rows("step"))).enumerated() {
                let request = request((row["reqPath"] ?? row["path"])?.string ?? "")
                let step = (row["expected"] ?? row["want"])?["Step"]
                // Those of patterns are in milliseconds.
                let wanted = number < patterns.count ? step?.int : millis(step)
                do {
                    // The cases' clock stands an hour after the epoch.
                    let start = try lokiTime(request.nonEmpty("start")) ?? 0
                    let end = try lokiTime(request.nonEmpty("end")) ?? 0
                    let got = try logs.step(request, start, end)
                    #expect(!isWrong(row), "\(row)")
                    #expect(got / 1_000_000 == wanted, "\(row)")
                } catch let error as APIError {
                    #expect(isWrong(row), "\(row): \(error)")
                }
            }
            for row in try rows("default-step") {
                let (start, end) = (nanos(row["start"]) ?? 0, nanos(row["end"]) ?? 0)
                let step = try logs.step(APIRequest(method: .get, path: "/"), start, end)
                #expect(step / 1_000_000_000 == row["expected"]?.int)
            }
            for row in try rows("interval") {
                let request = request(row["reqPath"]?.string ?? "")
                if isWrong(row) {
                    #expect(throws: APIError.self) { try logs.interval(request) }
                } else {
                    #expect(
                        try logs.interval(request) / 1_000_000 == millis(row["expected"]) ?? 0)
                }
            }
        }
    }

    @Test func countsHave32Bits() async throws {
        try await withServer { server in
            let logs = endpoints(server)
            for row in try rows("uint32-bad") {
                let path = row["reqPath"]?.string ?? ""
                var request = request(path)
                request.parameters.append(("query", "{a=\"b\"}"))
                do {
                    if path.contains("/tail") {
                        _ = try TailRequest(request, logs)
                    } else if path.contains("detected") || path.contains("line_limit") {
                        _ = try await logs.detectedFields(request)
                    } else {
                        _ = try logs.limit(request)
                    }
                    Issue.record("\(path) was taken")
                } catch let error as APIError {
                    let text = row["wantErr"]?.string ?? "-"
                    #expect(error.message.contains(text), "\(path): \(error)")
                }
            }
            var most = APIRequest(method: .get, path: "/")
            most.parameters = [("limit", "\(UInt32.max)")]
            #expect(try logs.limit(most) == Int(UInt32.max))
        }
    }

    @Test func tailsAreAcceptedAndRefused() async throws {
        try await withServer { server in
            let logs = endpoints(server)
            for row in try rows("tail") {
                let request = request(row["url"]?.string ?? "")
                if isWrong(row) {
                    #expect(throws: APIError.self) { try TailRequest(request, logs) }
                    continue
                }
                let tail = try TailRequest(request, logs)
                let want = row["want"]
                #expect(tail.startNanos == nanos(want?["Start"]))
                #expect(Int64(tail.limit) == want?["Limit"]?.int)
                #expect(tail.delayNanos / 1_000_000_000 == want?["DelayFor"]?.int)
            }
        }
    }
}
