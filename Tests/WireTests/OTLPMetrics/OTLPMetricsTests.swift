// SPDX-License-Identifier: Apache-2.0
// OTLP metrics translated to Prometheus.

import Base
import Telemetry
import TestKit
import Testing

@testable import Wire

@Suite struct OTLPMetricsTests {
    private func json(
        _ text: String, _ options: OTLPMetrics.Options = .init()
    ) throws -> DecodedMetrics {
        var text = text
        return try text.withUTF8 {
            try OTLPMetrics.decodeJSON(UnsafeRawBufferPointer($0), options)
        }
    }

    /// Samples as `name{labels} value @millis`.
    private func samples(_ decoded: DecodedMetrics) -> [String] {
        let batch = decoded.batch
        return batch.sampleSeries.indices.map { i in
            let labels = batch.arena.labels(batch.series[Int(batch.sampleSeries[i])])
            let value = batch.sampleValues[i]
            let text = StaleMarker.isStale(value) ? "stale" : floatText(value)
            let start = batch.sampleStartMillis.isEmpty ? 0 : batch.sampleStartMillis[i]
            return "\(labels) \(text) @\(batch.sampleMillis[i])"
                + (start == 0 ? "" : " from \(start)")
        }
    }

    private func request(
        _ metrics: String,
        resource: String = #"{"key":"service.name","value":{"stringValue":"shop"}}"#
    ) -> String {
        #"{"resourceMetrics":[{"scopeMetrics":[{"metrics":["# + metrics
            + #"],"scope":{"name":"lib","version":"1.2"}}],"resource":{"attributes":["# + resource
            + "]}}]}"
    }

    @Test func namesFollowTheStrategy() {
        typealias Case = (String, String, OTLPMetricName.Kind, [String?])
        // Expected: with suffixes, without, unescaped with suffixes, untranslated.
        let cases: [Case] = [
            (
                "http.server.duration", "ms", .other,
                [
                    "http_server_duration_milliseconds", "http_server_duration",
                    "http.server.duration_milliseconds", "http.server.duration",
                ]
            ),
            (
                "requests", "1", .monotonicSum,
                ["requests_total", "requests", "requests_total", "requests"]
            ),
            (
                "system.cpu.utilization", "1", .gauge,
                [
                    "system_cpu_utilization_ratio", "system_cpu_utilization",
                    "system.cpu.utilization_ratio", "system.cpu.utilization",
                ]
            ),
            (
                "disk.io.bytes", "By", .monotonicSum,
                ["disk_io_bytes_total", "disk_io_bytes", "disk.io.bytes_total", "disk.io.bytes"]
            ),
            (
                "speed", "By/s", .gauge,
                ["speed_bytes_per_second", "speed", "speed_bytes_per_second", "speed"]
            ),
            (
                "queue", "{messages}", .gauge, ["queue", "queue", "queue", "queue"]
            ),
            ("2xx", "", .gauge, ["_2xx", "_2xx", "2xx", "2xx"]),
            (
                "total.requests.total", "", .monotonicSum,
                [
                    "requests_total", "total_requests_total", "total.requests_total",
                    "total.requests.total",
                ]
            ),
            ("!!!", "", .gauge, [nil, nil, "!!!", "!!!"]),
            ("a__b", "s", .gauge, ["a_b_seconds", "a__b", "a__b_seconds", "a__b"]),
            ("f", "req/{x}", .gauge, ["f_req", "f", "f_req", "f"]),
            ("odd", "m$s/k#", .gauge, ["odd_m_s_per_k", "odd", "odd_m$s_per_k#", "odd"]),
        ]
        for (name, unit, kind, expected) in cases {
            for (strategy, want) in zip(
                [
                    TranslationStrategy.underscoreEscapingWithSuffixes,
                    .underscoreEscapingWithoutSuffixes, .noUTF8EscapingWithSuffixes, .noTranslation,
                ], expected)
            {
                #expect(
                    OTLPMetricName.translate(name, unit: unit, kind, strategy) == want,
                    "\(name) \(unit) \(strategy)")
            }
        }
        #expect(OTLPMetricName.unit("By/s") == "bytes_per_second")
        #expect(OTLPMetricName.unit("1") == "")
    }

    @Test func attributeKeysBecomeLabelNames() {
        let cases: [(String, String?)] = [
            ("http.method", "http_method"), ("plain", "plain"), ("9lives", "key_9lives"),
            ("_x", "key_x"), ("__reserved__", "__reserved__"), ("é", "key_"), ("ab€c", "ab_c"),
            ("", nil), ("..", nil), ("_", "key_"), (".a", "key_a"),
        ]
        for (key, want) in cases { #expect(labelName(key, .init()) == want, "\(key)") }
        var naming = OTLPLabelNaming()
        naming.prefixesUnderscore = false
        #expect(labelName("_x", naming) == "_x" && labelName(".", naming) == nil)
        #expect(labelName("9", naming) == "key_9")
        naming.keepsMultiple = false
        for (key, want) in [
            ("a..b", "a_b"), ("a__b", "a_b"), ("__a..b__", "__a_b__"), ("____", nil),
            ("__x_", "_x_"), ("_é_", nil),
        ] { #expect(labelName(key, naming) == want, "\(key)") }
        naming.escapes = false
        #expect(labelName("a..b", naming) == "a..b")
    }

    private func labelName(_ key: String, _ naming: OTLPLabelNaming) -> String? {
        var out: [UInt8] = []
        let key = Array(key.utf8)
        let isName = key.withUnsafeBytes { naming.append($0, to: &out) }
        let text = isName ? String(decoding: out, as: UTF8.self) : nil
        // The shortcut may only say yes where nothing changes.
        if key.withUnsafeBytes({ naming.isUnchanged($0) }) {
            #expect(text == String(decoding: key, as: UTF8.self))
        }
        return text
    }

    @Test func sumsAndGaugesBecomeSeries() throws {
        let decoded = try json(
            request(
                #"""
                {"sum":{"dataPoints":[{"asInt":"7","timeUnixNano":"2000000000",
                  "startTimeUnixNano":1000000000,"attributes":[
                    {"key":"http.method","value":{"stringValue":"GET"}},
                    {"key":"n","value":{"intValue":"5"}},{"key":"ok","value":{"boolValue":true}},
                    {"key":"r","value":{"doubleValue":0.5}},
                    {"key":"l","value":{"arrayValue":{"values":[{"stringValue":"a"},{"intValue":1}]}}}]}],
                  "aggregationTemporality":2,"isMonotonic":true},
                 "name":"hits","unit":"1","description":"Hits."},
                {"name":"temp","unit":"Cel","gauge":{"dataPoints":[
                  {"asDouble":1.5,"timeUnixNano":"2000000000"},
                  {"asDouble":2,"timeUnixNano":"3000000000","flags":1}]}}
                """#))
        #expect(decoded.rejectedPoints == 0)
        same(
            samples(decoded),
            [
                #"{__name__="hits_total", http_method="GET", job="shop", l="[\"a\",1]", n="5", ok="true", r="0.5"} 7 @2000 from 1000"#,
                #"{__name__="temp_celsius", job="shop"} 1.5 @2000"#,
                #"{__name__="temp_celsius", job="shop"} stale @3000"#,
            ])
        let meta = decoded.batch.metadata.map {
            "\(decoded.batch.arena.text($0.family)) \($0.type) \(decoded.batch.arena.text($0.help)) "
                + decoded.batch.arena.text($0.unit)
        }
        same(meta, ["hits_total counter Hits. ", "temp_celsius gauge  celsius"])
    }

    @Test func resourcesBecomeJobInstanceAndTargetInfo() throws {
        let resource =
            #"{"key":"service.name","value":{"stringValue":"shop"}},"#
            + #"{"key":"service.namespace","value":{"stringValue":"eu"}},"#
            + #"{"key":"service.instance.id","value":{"stringValue":"i-1"}},"#
            + #"{"key":"host.name","value":{"stringValue":"h"}}"#
        let points = [0, 200, 400].map {
            #"{"asInt":1,"timeUnixNano":"\#(1_000_000_000 + $0 * 1_000_000_000)"}"#
        }
        let text = request(
            #"{"name":"g","gauge":{"dataPoints":["# + points.joined(separator: ",") + "]}}",
            resource: resource)
        let decoded = try json(text)
        let info = #"{__name__="target_info", host_name="h", instance="i-1", job="eu/shop"} 1 @"#
        same(
            Array(samples(decoded).suffix(4)),
            [info + "1000", info + "151000", info + "301000", info + "401000"])
        same([samples(decoded)[0]], [#"{__name__="g", instance="i-1", job="eu/shop"} 1 @1000"#])
        var options = OTLPMetrics.Options()
        options.settings.promotedResourceAttributes = ["host.name"]
        options.settings.keepsIdentifyingResourceAttributes = true
        options.settings.promotesScopeMetadata = true
        let promoted = try json(text, options)
        same(
            [samples(promoted)[0]],
            [
                #"{__name__="g", host_name="h", instance="i-1", job="eu/shop", otel_scope_name="lib", otel_scope_version="1.2"} 1 @1000"#
            ])
        same(
            [samples(promoted).last ?? ""],
            [
                #"{__name__="target_info", host_name="h", instance="i-1", job="eu/shop", service_instance_id="i-1", service_name="shop", service_namespace="eu"} 1 @401000"#
            ])
        options = OTLPMetrics.Options()
        options.settings.promotesAllResourceAttributes = true
        options.settings.ignoredResourceAttributes = ["service.name"]
        options.settings.strategy = .noTranslation
        same(
            [samples(try json(text, options))[0]],
            [
                #"{__name__="g", "host.name"="h", instance="i-1", job="eu/shop", "service.instance.id"="i-1", "service.namespace"="eu"} 1 @1000"#
            ])
    }

    @Test func collidingKeysAreJoinedAndReservedNamesWin() throws {
        let decoded = try json(
            request(
                #"""
                {"name":"g","gauge":{"dataPoints":[{"asInt":1,"timeUnixNano":1000000,"attributes":[
                  {"key":"a_b","value":{"stringValue":"2"}},{"key":"a.b","value":{"stringValue":"1"}},
                  {"key":"job","value":{"stringValue":"mine"}},{"key":"e","value":{"stringValue":""}}]}]}}
                """#))
        same(samples(decoded), [#"{__name__="g", a_b="1;2", job="shop"} 1 @1"#])
    }

    private static let histogram = #"""
        {"name":"lat","unit":"s","histogram":{"aggregationTemporality":2,"dataPoints":[
          {"timeUnixNano":"5000000000","startTimeUnixNano":"1000000000","count":"6","sum":9.5,
           "bucketCounts":["1","2","3"],"explicitBounds":[0.5,10],"exemplars":[
             {"timeUnixNano":"4000000000","asDouble":0.7,"spanId":"EEE19B7EC3C1B174",
              "traceId":"5b8efff798038103d269b633813fc60c",
              "filteredAttributes":[{"key":"user.id","value":{"stringValue":"u1"}}]},
             {"asInt":"11"}]}]}}
        """#

    @Test func explicitHistogramsBecomeClassicSeries() throws {
        let decoded = try json(request(Self.histogram))
        let rest = #"job="shop""#
        same(
            samples(decoded),
            [
                #"{__name__="lat_seconds_sum", \#(rest)} 9.5 @5000 from 1000"#,
                #"{__name__="lat_seconds_count", \#(rest)} 6 @5000 from 1000"#,
                #"{__name__="lat_seconds_bucket", \#(rest), le="0.5"} 1 @5000 from 1000"#,
                #"{__name__="lat_seconds_bucket", \#(rest), le="10"} 3 @5000 from 1000"#,
                #"{__name__="lat_seconds_bucket", \#(rest), le="+Inf"} 6 @5000 from 1000"#,
            ])
        try same(
            RemoteWriteTests.describe(decoded.batch).filter { $0.contains(" ex ") },
            [
                #"{__name__="lat_seconds_bucket", \#(rest), le="10"} ex {span_id="eee19b7ec3c1b174", trace_id="5b8efff798038103d269b633813fc60c", "user.id"="u1"} 4000 0.7"#,
                #"{__name__="lat_seconds_bucket", \#(rest), le="+Inf"} ex {} 5000 11.0"#,
            ])
    }

    @Test func explicitHistogramsCanBecomeCustomBuckets() throws {
        var options = OTLPMetrics.Options()
        options.settings.convertsHistogramsToCustomBuckets = true
        let decoded = try json(request(Self.histogram), options)
        #expect(decoded.batch.sampleSeries.isEmpty)
        let histogram = try decoded.batch.histogram(0)
        #expect(histogram.schema == NativeHistogram.customSchema)
        #expect(histogram.customBounds == [0.5, 10])
        #expect(histogram.positiveBuckets == [1, 2, 3])
        #expect(histogram.count == 6 && histogram.sum == 9.5)
        #expect(decoded.batch.exemplarSeries.count == 2)
    }

    @Test func exponentialHistogramsBecomeNative() throws {
        let decoded = try json(
            request(
                #"""
                {"name":"e","exponentialHistogram":{"aggregationTemporality":2,"dataPoints":[
                  {"timeUnixNano":"1000000","count":12,"sum":3,"scale":1,"zeroCount":2,
                   "positive":{"offset":-2,"bucketCounts":[1,0,0,2,0,0,0,3]},
                   "negative":{"offset":4,"bucketCounts":[4]}},
                  {"timeUnixNano":"2000000","count":6,"scale":10,
                   "positive":{"offset":3,"bucketCounts":[1,2,3]}},
                  {"timeUnixNano":"3000000","count":1,"scale":-5},
                  {"timeUnixNano":"4000000","flags":1}]}}
                """#))
        #expect(decoded.rejectedPoints == 1)
        #expect(decoded.message.contains("Scale must be >= -4, was -5"))
        let first = try decoded.batch.histogram(0)
        #expect(first.schema == 1 && first.zeroCount == 2 && first.sum == 3)
        spans(first.positiveSpans, [.init(offset: -1, length: 4), .init(offset: 3, length: 1)])
        #expect(first.positiveBuckets == [1, 0, 0, 2, 3])
        spans(first.negativeSpans, [.init(offset: 5, length: 1)])
        // Scale 10 to 8: four buckets in one, and 3…5 fall into 0 and 1.
        let second = try decoded.batch.histogram(1)
        #expect(second.schema == 8)
        spans(second.positiveSpans, [.init(offset: 1, length: 2)])
        #expect(second.positiveBuckets == [1, 5])
        #expect(try decoded.batch.histogram(2).isStale)
    }

    @Test func summariesBecomeQuantileSeries() throws {
        let decoded = try json(
            request(
                #"""
                {"name":"s","summary":{"dataPoints":[{"timeUnixNano":"1000000","count":"4","sum":2,
                  "quantileValues":[{"quantile":0.5,"value":1},{"quantile":1,"value":"NaN"}]}]}}
                """#))
        same(
            samples(decoded),
            [
                #"{__name__="s_sum", job="shop"} 2 @1"#, #"{__name__="s_count", job="shop"} 4 @1"#,
                #"{__name__="s", job="shop", quantile="0.5"} 1 @1"#,
                #"{__name__="s", job="shop", quantile="1"} NaN @1"#,
            ])
    }

    @Test func whatCannotBeStoredIsRejectedWithAReason() throws {
        let decoded = try json(
            request(
                #"""
                {"name":"d","sum":{"aggregationTemporality":1,"isMonotonic":true,"dataPoints":[
                  {"asInt":1,"timeUnixNano":1000000},{"asInt":1,"timeUnixNano":1000000}]}},
                {"name":"u","sum":{"dataPoints":[{"asInt":1,"timeUnixNano":1000000}]}},
                {"name":"n","gauge":{"dataPoints":[{"timeUnixNano":1000000},{"asInt":1}]}},
                {"name":"--","gauge":{"dataPoints":[{"asInt":1,"timeUnixNano":1000000}]}},
                {"name":"h","histogram":{"aggregationTemporality":2,"dataPoints":[
                  {"timeUnixNano":1000000,"bucketCounts":[1],"explicitBounds":[1,2]}]}},
                {"name":"fine","gauge":{"dataPoints":[{"asInt":1,"timeUnixNano":1000000}]}}
                """#))
        #expect(decoded.rejectedPoints == 7)
        same(samples(decoded), [#"{__name__="fine", job="shop"} 1 @1"#])
        #expect(decoded.message.contains("invalid temporality"))
        #expect(decoded.message.contains("without a value"))
        #expect(decoded.message.contains("without timeUnixNano"))
    }

    @Test func theProjectsExampleDecodesTheSameFromBothEncodings() throws {
        guard let example = Corpora.file("api/opentelemetry/examples/metrics.json") else { return }
        let text = String(decoding: example, as: UTF8.self)
            .split(separator: "\n").joined(separator: "\n")
        let asSent = try json(text)
        // Its sum and histograms are deltas.
        #expect(asSent.rejectedPoints > 0)
        let cumulative = example.split(separator: UInt8(ascii: "\n")).map { line -> String in
            let line = String(decoding: line, as: UTF8.self)
            return line.contains("aggregationTemporality") && line.hasSuffix("1,")
                ? #""aggregationTemporality": 2,"# : line
        }.joined(separator: "\n")
        let decoded = try json(cumulative)
        #expect(decoded.rejectedPoints == 0, "\(decoded.message)")
        same(
            [samples(decoded).first ?? ""],
            [
                #"{__name__="my_counter_total", job="my.service", my_counter_attr="some value"} 5 @1544712660300 from 1544712660300"#
            ])
    }

    @Test func goldenProtobufBytes() throws {
        // resource_metrics{scope_metrics{metrics{name "g" gauge{data_points{time 1 ms, as_int −2}}}}}
        let golden: [UInt8] =
            [0x0a, 0x1d, 0x12, 0x1b, 0x12, 0x19, 0x0a, 0x01, 0x67, 0x2a, 0x14, 0x0a, 0x12]
            + [0x19, 0x40, 0x42, 0x0f, 0, 0, 0, 0, 0]
            + [0x31, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]
        let decoded = try golden.withUnsafeBytes { try OTLPMetrics.decodeProtobuf($0) }
        same(samples(decoded), [#"{__name__="g"} -2 @1"#])
    }

    @Test func damageNeverCrashes() throws {
        var seeds = [
            request(Self.histogram),
            request(#"{"name":"g","gauge":{"dataPoints":[{"asInt":1,"timeUnixNano":1000000}]}}"#),
        ].map { Array($0.utf8) }
        if let example = Corpora.file("api/opentelemetry/examples/metrics.json") {
            seeds.append(example)
        }
        var options = OTLPMetrics.Options()
        options.settings.promotesScopeMetadata = true
        options.settings.promotesAllResourceAttributes = true
        var survived = 0
        for seed in seeds {
            mutate(seed, rounds: 1500) { bytes in
                let decoded = try? bytes.withUnsafeBytes { try OTLPMetrics.decodeJSON($0, options) }
                if let decoded, !decoded.batch.isEmpty { survived += 1 }
            }
        }
        let binary: [UInt8] = try seeds[0].withUnsafeBytes { try OTLPMetrics.transcode($0) }
        mutate(binary, rounds: 4000) { bytes in
            let decoded = try? bytes.withUnsafeBytes {
                try OTLPMetrics.decodeProtobuf($0, options)
            }
            guard let decoded else { return }
            let batch = decoded.batch
            #expect(
                batch.series.allSatisfy { ref in
                    batch.arena.withSlice(ref.slice) {
                        isCanonicalLabels($0) && hash64($0) == ref.hash
                    }
                })
            if !batch.isEmpty { survived += 1 }
        }
        #expect(survived > 500)
    }

    @Test func aFewBytesCannotMakeManySamples() throws {
        // Two points 500 years apart.
        let decoded = try json(
            request(
                #"{"name":"g","gauge":{"dataPoints":[{"asInt":1,"timeUnixNano":1000000},{"asInt":1,"timeUnixNano":"18000000000000000000"}]}}"#,
                resource:
                    #"{"key":"service.name","value":{"stringValue":"s"}},{"key":"h","value":{"stringValue":"h"}}"#
            ))
        #expect(decoded.batch.sampleSeries.count == 2 + OTLPMetrics.maxTargetInfoSamples)
    }

    @Test func answersHaveBothEncodings() {
        func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
        bytes(OTLPResponse.success(.metrics, .protobuf), [])
        #expect(text(OTLPResponse.success(.traces, .json)) == "{}")
        #expect(
            text(OTLPResponse.success(.metrics, rejected: 3, message: "no", .json))
                == #"{"partialSuccess":{"rejectedDataPoints":"3","errorMessage":"no"}}"#)
        bytes(
            OTLPResponse.success(.logs, rejected: 3, message: "no", .protobuf),
            [0x0a, 0x06, 0x08, 0x03, 0x12, 0x02, 0x6e, 0x6f])
        #expect(
            text(OTLPResponse.status(code: 3, message: "bad", .json))
                == #"{"code":3,"message":"bad"}"#)
        bytes(
            OTLPResponse.status(code: 3, message: "bad", .protobuf),
            [0x08, 0x03, 0x12, 0x03, 0x62, 0x61, 0x64])
        let long = OTLPResponse.status(
            code: 3, message: String(repeating: "é", count: 5000), .json)
        #expect(long.count <= 4096 + 32)
        #expect(isValid(long))
    }

    /// Typed, so that the compiler need not search.
    private func same(_ got: [String], _ want: [String]) {
        if got != want { Issue.record("got  \(got)\nwant \(want)") }
    }

    private func bytes(_ got: [UInt8], _ want: [UInt8]) { #expect(got == want) }

    private func spans(_ got: [NativeHistogram.Span], _ want: [NativeHistogram.Span]) {
        #expect(got == want)
    }

    private func isValid(_ bytes: [UInt8]) -> Bool { bytes.withUnsafeBytes { isValidUTF8($0) } }
}
