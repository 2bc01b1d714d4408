// SPDX-License-Identifier: Apache-2.0
// Remote read, federation and search over HTTP.

import Base
import Ingest
import Telemetry
import TestKit
import Testing
import Wire

@testable import Server

private func request(_ types: [UInt32], _ matcher: (UInt32, String, String)) -> [UInt8] {
    var writer = ProtobufWriter()
    writer.message(1) { query in
        query.int64(1, 0)
        query.int64(2, nowMillis + 1000)
        query.message(3) { message in
            message.uint32(1, matcher.0)
            message.string(2, matcher.1)
            message.string(3, matcher.2)
        }
    }
    for type in types { writer.uint32(2, type, always: true) }
    return Snappy.compress(writer.bytes)
}

private func fill(_ server: TestServer) async throws -> Int64 {
    let now = nowMillis
    for (name, value) in [("read_me", 1.5), ("read_me_too", 2), ("other_total", 3)] {
        let reply = try await server.post(
            "/api/v1/write", protobuf, remoteWriteBody(name, value, millis: now))
        #expect(reply.status == 204)
    }
    return now
}

@Suite(.serialized) struct RemoteReadTests {
    @Test func samplesComeAsOneMessage() async throws {
        try await withServer { server in
            let now = try await fill(server)
            let reply = try await server.post(
                "/api/v1/read", protobuf, request([], (2, "__name__", "read_me.*")))
            #expect(reply.status == 200, "\(reply.text)")
            #expect(reply.headers["content-encoding"] == "snappy")
            let plain = try reply.body.withUnsafeBytes {
                try Snappy.decompress($0, limit: 1 << 20)
            }
            var seen: [(Int64, Double)] = []
            try plain.withUnsafeBytes { bytes in
                var outer = ProtobufReader(bytes)
                while try outer.next() {
                    var result = try outer.message()
                    while try result.next() {
                        var series = try result.message()
                        while try series.next() {
                            guard series.field == 2 else {
                                try series.skip()
                                continue
                            }
                            var sample = try series.message()
                            var (millis, value) = (Int64(0), 0.0)
                            while try sample.next() {
                                if sample.field == 1 {
                                    value = try sample.double()
                                } else {
                                    millis = try sample.int64()
                                }
                            }
                            seen.append((millis, value))
                        }
                    }
                }
            }
            #expect(seen.map(\.0) == [now, now])
            #expect(seen.map(\.1) == [1.5, 2])
        }
    }

    @Test func chunksComeAsCheckedFrames() async throws {
        try await withServer { server in
            _ = try await fill(server)
            let reply = try await server.post(
                "/api/v1/read", protobuf, request([1, 0], (0, "__name__", "read_me")))
            #expect(
                reply.headers["content-type"]
                    == "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse")
            let count = Int(reply.body.first ?? 0)
            #expect(reply.body.count == count + 5, "one frame of less than 128 bytes")
            let frame = Array(reply.body.dropFirst(5))
            let sum = reply.body[1..<5].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            #expect(sum == crc32c(frame))
        }
    }

    @Test func histogramsComeInChunksToo() async throws {
        try await withServer { server in
            var histogram = NativeHistogram()
            histogram.positiveSpans = [NativeHistogram.Span(offset: 0, length: 1)]
            histogram.positiveBuckets = [2]
            histogram.count = 2
            var batch = MetricBatch()
            let series = batch.addSeries(Labels([("__name__", "read_me"), ("job", "test")]))
            batch.addHistogram(series: series, millis: nowMillis, histogram)
            _ = try await server.core.pipeline.write(metrics: batch, tenant: .anonymous)
            let reply = try await server.post(
                "/api/v1/read", protobuf, request([1], (0, "__name__", "read_me")))
            #expect(reply.status == 200)
            var encodings: [UInt32] = []
            try Array(reply.body.dropFirst(5)).withUnsafeBytes { bytes in
                var frame = ProtobufReader(bytes)
                _ = try frame.next()
                var series = try frame.message()
                while try series.next() {
                    var field = try series.message()
                    guard series.field == 2 else { continue }
                    while try field.next() {
                        if field.field == 3 {
                            encodings.append(try field.uint32())
                        } else {
                            try field.skip()
                        }
                    }
                }
            }
            #expect(encodings == [3])
        }
    }

    @Test func badRequestsAreRefused() async throws {
        try await withServer { server in
            let cases: [([UInt8], String)] = [
                (request([7], (0, "a", "b")), "does not support any of the requested"),
                (request([], (9, "a", "b")), "invalid matcher type 9"),
                (request([], (2, "a", "(")), "error parsing regexp"),
                (Array("no snappy".utf8), "snappy"), (Snappy.compress([0xff, 0xff]), ""),
            ]
            for (body, text) in cases {
                let reply = try await server.post("/api/v1/read", protobuf, body)
                #expect(reply.status == 400 && reply.text.contains(text), "\(reply.text)")
            }
        }
    }

    @Test func federationWritesTheNewestSamples() async throws {
        try await withServer { server in
            let now = try await fill(server)
            let path = "/federate?match[]=" + percentEncoded("{__name__=~\"read_me.*\"}")
            let text = try await server.get(path)
            let expected = """
                # TYPE read_me untyped
                read_me{job="test",instance=""} 1.5 \(now)
                # TYPE read_me_too untyped
                read_me_too{job="test",instance=""} 2 \(now)

                """
            #expect(text.text == expected)
            let open = try await server.send(
                "GET", path, headers: [("Accept", "application/openmetrics-text;version=1.0.0")])
            #expect(open.text.hasPrefix("# TYPE read_me unknown\n"))
            #expect(open.text.hasSuffix("# EOF\n"))
            let nothing = try await server.get("/federate")
            #expect(nothing.text.isEmpty)
            let bad = try await server.get("/federate?match[]=" + percentEncoded("a{"))
            #expect(bad.status == 400)
        }
    }

    @Test func federationWritesHistogramsOfCustomBuckets() async throws {
        try await withServer { server in
            let now = nowMillis
            var custom = NativeHistogram()
            custom.schema = NativeHistogram.customSchema
            custom.customBounds = [0.5, 2]
            custom.positiveSpans = [NativeHistogram.Span(offset: 0, length: 3)]
            custom.positiveBuckets = [3, 4, 1]
            custom.count = 8
            custom.sum = 9.25
            var exponential = NativeHistogram()
            exponential.positiveSpans = [NativeHistogram.Span(offset: 0, length: 1)]
            exponential.positiveBuckets = [2]
            exponential.count = 2
            var batch = MetricBatch()
            for (name, histogram) in [("latency", custom), ("other", exponential)] {
                let series = batch.addSeries(Labels([("__name__", name), ("job", "test")]))
                batch.addHistogram(series: series, millis: now, histogram)
            }
            _ = try await server.core.pipeline.write(metrics: batch, tenant: .anonymous)
            let text = try await server.get(
                "/federate?match[]=" + percentEncoded("{job=\"test\"}"))
            // Exponential buckets have no place in text.
            #expect(
                text.text == """
                    # TYPE latency histogram
                    latency_bucket{job="test",instance="",le="0.5"} 3 \(now)
                    latency_bucket{job="test",instance="",le="2"} 7 \(now)
                    latency_bucket{job="test",instance="",le="+Inf"} 8 \(now)
                    latency_sum{job="test",instance=""} 9.25 \(now)
                    latency_count{job="test",instance=""} 8 \(now)

                    """)
        }
    }

    @Test func searchesFindNames() async throws {
        try await withServer { server in
            _ = try await fill(server)
            let base = "/api/v1/search/"
            let trailer = #"{"status":"success","has_more":false}"# + "\n"
            let cases: [(String, String)] = [
                (
                    "metric_names?search[]=read",
                    #"{"results":[{"name":"read_me"},{"name":"read_me_too"}]}"# + "\n" + trailer
                ),
                (
                    "metric_names?search[]=read&limit=1",
                    #"{"results":[{"name":"read_me"}]}"# + "\n"
                        + #"{"status":"success","has_more":true}"# + "\n"
                ),
                (
                    "metric_names?batch_size=2&sort_by=alpha&sort_dir=dsc",
                    #"{"results":[{"name":"read_me_too"},{"name":"read_me"}]}"# + "\n"
                        + #"{"results":[{"name":"other_total"}]}"# + "\n" + trailer
                ),
                (
                    "label_names?search[]=JOB&case_sensitive=false&include_score=true",
                    #"{"results":[{"name":"job","score":1}]}"# + "\n" + trailer
                ),
                (
                    "label_values?label=job",
                    #"{"results":[{"value":"test"}]}"# + "\n" + trailer
                ),
                ("metric_names?search[]=zzz", #"{"results":[]}"# + "\n" + trailer),
            ]
            for (path, text) in cases {
                let reply = try await server.get(base + path)
                #expect(reply.text == text, "\(path): \(reply.text)")
            }
        }
    }

    @Test func scoresAreThoseOfTheReference() {
        func scalars(_ text: String) -> [Unicode.Scalar] { Array(text.unicodeScalars) }
        let middle = substringScore(scalars("b"), scalars("abc"))
        #expect(middle == 0.55)
        #expect(substringScore(scalars("x"), scalars("abc")) == nil)
        // Two runs of one, a gap of one before, one between.
        let expected: Double = (2 - 0.25 - 0.25) / 4 * 0.999
        let runs = subsequenceScore(scalars("bd"), scalars("abcd"))
        #expect(abs(runs - expected) < 1e-12)
        let similarity = jaroWinkler(scalars("MARTHA"), scalars("MARHTA"))
        #expect(abs(similarity - 0.9611) < 1e-4)
        #expect(jaroWinkler(scalars("abc"), scalars("xyz")) == 0)
    }
}
