// SPDX-License-Identifier: Apache-2.0
// InfluxDB's writes, imported expositions and pushed metrics over HTTP.

import Base
import Ingest
import Telemetry
import TestKit
import Testing
import Wire

@testable import Server

extension TestServer {
    /// The values of an instant query by their labels, as the answer writes them.
    func answer(_ query: String) async throws -> String {
        let text = try await get("/api/v1/query?query=" + percentEncoded(query)).text
        guard let start = text.firstRange(of: "\"result\":")?.upperBound else { return text }
        // Times vary.
        let result = text[start...].replacing(#/\[[0-9.]+,/#, with: "[t,")
        return result.hasSuffix("}}") ? String(result.dropLast(2)) : String(result)
    }

    func send(_ method: String, _ target: String, _ text: String) async throws -> HTTPReply {
        try await send(method, target, body: Array(text.utf8))
    }
}

@Suite(.serialized) struct PushTests {
    @Test func influxWrites() async throws {
        try await withServer { server in
            let now = nowMillis
            for (target, line) in [
                ("/write?db=t&precision=ms", "m,a=1 v=1,w=2i \(now)"),
                ("/influx/write?db=t", "m,a=2 v=3"),
                ("/api/v2/write?org=o&bucket=t&precision=ns&extra_label=a=3", "m v=4 \(now)000000"),
                ("/influx/api/v2/write?bucket=t", "m,a=4 v=5"),
            ] {
                let reply = try await server.send("POST", target, line)
                #expect(reply.status == 204, "\(target) \(reply.text)")
            }
            #expect(try await server.answer("sum(m_v)").contains("\"13\""))
            #expect(try await server.answer("m_w").contains(#""a":"1","db":"t""#))
            let packed = try await server.post(
                "/write", "text/plain", Deflate.gzip(Array("packed v=1".utf8)),
                headers: [("Content-Encoding", "gzip")])
            #expect(packed.status == 204)

            // Good lines count beside bad ones, and the answer names those.
            var reply = try await server.send("POST", "/write?db=t", "good v=1\nbad\nm v=x\n")
            #expect(
                reply.status == 400 && reply.text.hasPrefix(#"{"error":"partial write: line 2"#))
            #expect(reply.text.contains("dropped=2"))
            #expect(try await server.answer("good_v").contains("\"1\""))
            reply = try await server.send("POST", "/api/v2/write", "old v=1 1000000000\n")
            #expect(reply.status == 400 && reply.text.hasPrefix(#"{"code":"invalid","message":"#))
            reply = try await server.send("POST", "/write?precision=d", "m v=1")
            #expect(reply.status == 400)
            reply = try await server.send("POST", "/write?extra_label=x", "m v=1")
            #expect(reply.status == 400)

            reply = try await server.get("/ping")
            #expect(reply.status == 204)
            reply = try await server.get("/query?q=SHOW%20DATABASES")
            #expect(reply.text.contains(#""values":[["t"]]"#))
            reply = try await server.get("/query?q=CREATE+DATABASE+%22x%22")
            #expect(reply.text == #"{"results":[{"statement_id":0}]}"#)
            reply = try await server.get("/query?q=SELECT+1")
            #expect(reply.status == 400)
        }
    }

    @Test func importedExpositions() async throws {
        try await withServer { server in
            let path = "/api/v1/import/prometheus"
            let now = nowMillis
            var reply = try await server.send(
                "POST", path + "?extra_label=dc=eu&extra_label=x=",
                "# TYPE a counter\na{x=\"1\"} 5\nb 6 \(now - 5000)\n")
            #expect(reply.status == 204, "\(reply.text)")
            #expect(
                try await server.answer("a")
                    == #"[{"metric":{"__name__":"a","dc":"eu"},"value":[t,"5"]}]"#)
            #expect(try await server.answer("timestamp(b) * 1000").contains("\(now - 5000)"))
            #expect(try await server.get("/api/v1/metadata").text.contains("\"counter\""))
            reply = try await server.send(
                "POST", path + "/metrics/job/j/i/1?timestamp=\(now - 1000)", "c 7\n")
            #expect(reply.status == 204)
            #expect(try await server.answer("c").contains(#""i":"1","job":"j""#))
            reply = try await server.post(
                path, "application/openmetrics-text; version=1.0.0", Array("d 1\n# EOF\n".utf8))
            #expect(reply.status == 204)
            reply = try await server.send("POST", path, "a{ 5\n")
            #expect(reply.status == 400 && reply.text.contains("exposition: "))
            reply = try await server.send("POST", path, "e 5 1000\n")
            #expect(reply.status == 400 && reply.text.contains("out of bounds"))
            reply = try await server.send("POST", path + "?timestamp=x", "e 5\n")
            #expect(reply.status == 400)
        }
    }

    @Test func pushedGroups() async throws {
        try await withServer { server in
            let group = "/metrics/job/night/path@base64/L3Zhci90bXA"
            var reply = try await server.send("PUT", group, "# TYPE rows gauge\nrows 3\n")
            #expect(reply.status == 200, "\(reply.text)")
            #expect(
                try await server.answer("rows")
                    == #"[{"metric":{"__name__":"rows","job":"night","path":"/var/tmp"},"value":[t,"3"]}]"#
            )
            reply = try await server.send("POST", group, "errors 1\n")
            #expect(reply.status == 200)
            #expect(try await server.answer("count({job=\"night\"})").contains("\"4\""))
            reply = try await server.send("PUT", "/metrics/job@base64/bmlnaHQ=", "rows 4\n")
            #expect(reply.status == 400 && reply.text.contains("inconsistent"))
            for (target, status) in [
                ("/metrics/job/x/y", 400), ("/metrics/job/x/__y/1", 400),
                ("/metrics/job/x/a-b/1", 400),
                ("/metrics/job/x/y@base64/%%", 400),
            ] {
                #expect(try await server.send("PUT", target, "a 1\n").status == status, "\(target)")
            }
            reply = try await server.send("PUT", "/metrics/job/x", "a 1 1600000000000\n")
            #expect(reply.status == 400 && reply.text.contains("must not have timestamps"))

            // What a round of exposure writes, and what it does not any more.
            let core = server.core
            let before = try await server.answer("count_over_time(rows[1m])")
            await core.pushed.expose(millis: nowMillis + 1, to: core.pipeline) {
                Issue.record("\($0)")
            }
            try await Task.sleep(for: .milliseconds(5))
            #expect(try await server.answer("count_over_time(rows[1m])") != before)
            reply = try await server.send("DELETE", group, "")
            #expect(reply.status == 202)
            #expect(try await server.answer("rows") == "[]")
            // The table of methods knows paths of any length.
            reply = try await server.get(group)
            #expect(reply.status == 405)
            #expect(try await server.get("/metrics").text.contains("tern_pushed_groups 1"))
        }
    }

    @Test func aPushOverALimitIsTold() async throws {
        try await withServer { server in
            var table = TenantLimitTable()
            // The name of a metric is a label's value too.
            table.common.maxLabelValueBytes = 32
            server.core.pipeline.limiter.set(table)
            var reply = try await server.send("PUT", "/metrics/job/night", "rows{a=\"short\"} 3\n")
            #expect(reply.status == 200, "\(reply.text)")
            reply = try await server.send(
                "POST", "/metrics/job/night", "lines{a=\"much too long to be kept by anybody\"} 4\n"
            )
            #expect(reply.status == 400 && reply.text.contains("max_label_value_bytes"))
            #expect(try await server.answer("rows").contains("short"))
            #expect(try await server.answer("lines") == "[]")
        }
    }

    @Test func whatIsNotDurableIsNotAcknowledged() async throws {
        try await withServer(adjust: { $0.limits.headBytes = -1 }) { server in
            for (target, text) in [
                ("/write", "m v=1"), ("/api/v2/write", "m v=1"),
                ("/api/v1/import/prometheus", "m 1\n"), ("/metrics/job/x", "m 1\n"),
            ] {
                let reply = try await server.send("POST", target, text)
                #expect(reply.status == 503, "\(target) \(reply.text)")
                #expect(reply.headers["retry-after"] != nil, "\(target)")
            }
            // A push is kept and will be exposed; a delta was taken back.
            #expect(server.core.pushed.groupCount == 1)
            let reply = try await server.post(
                "/v1/metrics", "application/json", Array(Self.delta(7, at: nowMillis).utf8))
            #expect(reply.status == 503 && server.core.intake.deltaStreams == 0)
        }
    }

    private static func delta(_ value: Int, at millis: Int64) -> String {
        #"{"resourceMetrics":[{"resource":{"attributes":[{"key":"service.name","value":"#
            + #"{"stringValue":"shop"}},{"key":"host.name","value":{"stringValue":"h"}}]},"#
            + #""scopeMetrics":[{"metrics":[{"name":"jobs.done","sum":{"aggregationTemporality":1,"#
            + #""isMonotonic":true,"dataPoints":[{"timeUnixNano":"\#(millis)000000","#
            + #""asInt":"\#(value)","attributes":[{"key":"a.b","value":{"stringValue":"1"}},"#
            + #"{"key":"a-b","value":{"stringValue":"2"}}]}]}}]}]}]}"#
    }

    @Test func deltasAndTheOTLPSection() async throws {
        try await withServer { server in
            let now = nowMillis
            for (value, back) in [(3, 2000), (4, 1000)] as [(Int, Int64)] {
                let reply = try await server.post(
                    "/api/v1/otlp/v1/metrics", "application/json",
                    Array(Self.delta(value, at: now - back).utf8))
                #expect(reply.status == 200)
                // Nothing was rejected, but two attributes are one label now.
                #expect(reply.text.contains("joined") && !reply.text.contains("rejected"))
            }
            #expect(
                try await server.answer("jobs_done_total")
                    == #"[{"metric":{"__name__":"jobs_done_total","a_b":"2;1","job":"shop"},"value":[t,"7"]}]"#
            )
            var settings = OTLPSettings()
            settings.strategy = .noTranslation
            settings.promotesAllResourceAttributes = true
            server.core.intake.translation.apply(settings)
            let reply = try await server.post(
                "/v1/metrics", "application/json", Array(Self.delta(5, at: now).utf8))
            #expect(reply.status == 200 && reply.text == "{}")
            #expect(
                try await server.answer(#"{"jobs.done"}"#).contains(
                    #""a-b":"2","a.b":"1","host.name":"h","job":"shop""#))
            #expect(
                try await server.get("/metrics").text.contains("tern_otlp_label_collisions_total 2")
            )
        }
    }

    @Test func otlpSection() throws {
        let text = """
            otlp:
              translation_strategy: NoUTF8EscapingWithSuffixes
              promote_all_resource_attributes: true
              ignore_resource_attributes: [a, " b "]
              keep_identifying_resource_attributes: true
              convert_histograms_to_nhcb: true
              promote_scope_metadata: true
              label_name_underscore_sanitization: false
              label_name_preserve_multiple_underscores: false
            """
        let otlp = try Configuration.parse(text).otlp
        #expect(otlp.strategy == .noUTF8EscapingWithSuffixes && otlp.promotesAllResourceAttributes)
        #expect(otlp.ignoredResourceAttributes == ["a", "b"] && otlp.promotesScopeMetadata)
        #expect(otlp.keepsIdentifyingResourceAttributes && otlp.convertsHistogramsToCustomBuckets)
        #expect(!otlp.prefixesUnderscoreLabels && !otlp.keepsMultipleUnderscores)
        #expect(try Configuration.parse("otlp: {}").otlp == OTLPSettings())
        for (section, reason) in [
            ("translation_strategy: Odd", "unsupported OTLP translation strategy"),
            ("promote_resource_attributes: [a, a]", "duplicated promoted"),
            ("promote_resource_attributes: ['']", "empty promoted"),
            ("ignore_resource_attributes: [a]", "cannot be configured unless"),
            (
                "promote_all_resource_attributes: true, promote_resource_attributes: [a]",
                "simultaneously"
            ),
            ("promote_all: true", "promote_all"),
        ] {
            do {
                _ = try Configuration.parse("otlp: {\(section)}")
                Issue.record("accepted \(section)")
            } catch { #expect("\(error)".contains(reason), "\(error)") }
        }
    }

    @Test func groupingKeys() throws {
        func labels(_ path: String) throws -> [String] {
            try PushPath(path).labels.map { "\($0.name)=\($0.value)" }
        }
        #expect(try labels("job/a%20b/c/d") == ["job=a b", "c=d"])
        #expect(try labels("job@base64/YS9i/x@base64/=/y/%CE%A0") == ["job=a/b", "x=", "y=Π"])
        #expect(try labels("job/a/") == ["job=a"])
        #expect(try labels("job/a/job/b") == ["job=b"])
        for path in ["job", "job/", "job/a/b", "job/a/1b/c", "job/a/b@base64/_", "job@base64/="] {
            #expect(throws: APIError.self) { try PushPath(path) }
        }
    }
}
