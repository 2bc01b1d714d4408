// SPDX-License-Identifier: Apache-2.0
// The ways in for logs that are neither Loki's nor OTLP's, over HTTP.

import Base
import TestKit
import Testing

@testable import Server

extension TestServer {
    /// Lines of a selector with their metadata, as `query_range` answers them.
    func lines(_ selector: String, tenant: String? = nil) async throws -> String {
        let text = try await get(
            "/loki/api/v1/query_range?since=24h&limit=5000&query=" + percentEncoded(selector),
            tenant: tenant
        ).text
        guard let start = text.firstRange(of: "\"result\":")?.upperBound else { return text }
        let end = text.firstRange(of: ",\"stats\":")?.lowerBound ?? text.endIndex
        return String(text[start..<max(start, end)])
    }
}

private let now = SystemClock().wallNanos
private var nowText: String { rfc3339Text(nanos: now) }

@Suite struct LogDoorTests {
    @Test func bulkRequests() async throws {
        try await withServer { server in
            let body = """
                {"create":{"_index":"app"}}
                {"@timestamp":"\(nowText)","message":"first","host":{"name":"h1"},"log.level":"error"}
                {"index":{"_index":"app","_id":"9"}}
                {"@timestamp":"1999-01-01T00:00:00Z","message":"too old"}
                {"delete":{"_index":"app","_id":"9"}}
                {"create":{}}
                {"message":"second","trace":{"id":"0af7651916cd43dd8448eb211c80319c"}}

                """
            for prefix in ["", "/elasticsearch", "/insert/elasticsearch"] {
                let reply = try await server.send(
                    "POST", prefix + "/_bulk",
                    headers: [
                        ("Accept", "application/vnd.elasticsearch+json; compatible-with=8"),
                        (
                            "Content-Type",
                            "application/vnd.elasticsearch+x-ndjson; compatible-with=8"
                        ),
                    ], body: Array(body.utf8))
                #expect(reply.status == 200, "\(reply.text)")
                #expect(reply.headers["x-elastic-product"] == "Elasticsearch")
                #expect(
                    reply.headers["content-type"]
                        == "application/vnd.elasticsearch+json;compatible-with=8")
                #expect(reply.text.contains(#""errors":true"#))
                #expect(
                    reply.text.contains(
                        #"{"create":{"_index":"app","result":"created","status":201}}"#))
                #expect(
                    reply.text.contains(
                        #"{"index":{"_index":"app","_id":"9","status":400,"error":{"type":"illegal_argument_exception","reason":"entry has timestamp too old"#
                    ))
                #expect(reply.text.contains(#"{"delete":{"_index":"app","_id":"9","status":400"#))
            }
            let lines = try await server.lines(#"{host_name="h1"}"#)
            #expect(lines.contains("\"first\"") && lines.contains("error"), "\(lines)")
            let found = try await server.get(
                "/api/v1/correlate/trace/0af7651916cd43dd8448eb211c80319c")
            #expect(found.text.contains("second"), "\(found.text)")
        }
    }

    @Test func whatSendersAskFirst() async throws {
        try await withServer { server in
            for path in ["/", "/elasticsearch/", "/elasticsearch", "/insert/elasticsearch/"] {
                let reply = try await server.get(path)
                #expect(
                    reply.status == 200 && reply.text.contains("You Know, for Search"), "\(path)")
                #expect(reply.headers["x-elastic-product"] == "Elasticsearch")
                let head = try await server.send("HEAD", path)
                #expect(head.status == 200 && head.body.isEmpty)
            }
            #expect(try await server.get("/_cluster/health").text.contains("green"))
            #expect(try await server.get("/_license").text.contains(#""type":"basic""#))
            for path in ["/_index_template/logs", "/_ilm/policy/p", "/_ingest/pipeline/x"] {
                var reply = try await server.get(path)
                #expect(reply.status == 404)
                #expect(reply.text.contains("resource_not_found_exception"), "\(reply.text)")
                #expect(try await server.send("HEAD", path).status == 404)
                reply = try await server.send("PUT", path, "{}")
                #expect(reply.status == 200 && reply.text == #"{"acknowledged":true}"#)
                #expect(reply.headers["warning"]?.contains("has no effect") == true)
            }
            let bad = try await server.send("POST", "/_bulk", "{\"what\":{}}\n")
            #expect(bad.status == 400 && bad.text.contains("Malformed action/metadata line [1]"))
            #expect(bad.headers["x-elastic-product"] == "Elasticsearch")
        }
    }

    @Test func singleDocuments() async throws {
        try await withServer { server in
            let reply = try await server.send(
                "POST", "/app/_doc", "{\n \"message\": \"one\",\n \"app\": \"solo\"\n}")
            #expect(reply.status == 201, "\(reply.text)")
            #expect(reply.text.contains(#""_index":"app""#) && reply.text.contains("created"))
            let again = try await server.send(
                "PUT", "/app/_create/7", #"{"message":"two","app":"solo"}"#)
            #expect(again.status == 201 && again.text.contains(#""_id":"7""#))
            let lines = try await server.lines(#"{app="solo"}"#)
            #expect(lines.contains("\"one\"") && lines.contains("\"two\""))
            #expect(try await server.send("POST", "/app/_doc", "nonsense").status == 400)
        }
    }

    @Test func jsonLines() async throws {
        try await withServer({ $0.tenancy = .header }) { server in
            func push(
                _ target: String, _ body: String, _ headers: [(String, String)] = []
            ) async throws
                -> HTTPReply
            {
                try await server.send(
                    "POST", target, headers: [("X-Scope-OrgID", "a")] + headers,
                    body: Array(body.utf8))
            }
            var reply = try await push(
                "/insert/jsonline?_stream_fields=svc&_msg_field=text&_time_field=when&extra_fields=dc=eu",
                #"{"svc":"pay","text":"hello","when":"\#(nowText)","x":1}"# + "\n")
            #expect(reply.status == 204, "\(reply.text)")
            reply = try await push(
                "/api/v1/import/jsonline", #"{"svc":"pay","text":"by header"}"# + "\nnonsense\n",
                [("VL-Stream-Fields", "svc"), ("Tern-Message-Field", "text")])
            #expect(reply.status == 400 && reply.text.contains("1 of 2 not stored: line 2"))
            let lines = try await server.lines(#"{svc="pay"}"#, tenant: "a")
            #expect(lines.contains("\"hello\"") && lines.contains("\"by header\""), "\(lines)")
            #expect(lines.contains(#""dc":"eu""#), "\(lines)")
            #expect(try await server.lines(#"{svc="pay"}"#, tenant: "b") == "[]")
            #expect(try await server.send("POST", "/insert/jsonline", "{}").status == 401)
            reply = try await push("/insert/jsonline?extra_fields=x", "{}")
            #expect(reply.status == 400)
        }
    }

    @Test func journals() async throws {
        try await withServer { server in
            let micros = now / 1000 - 1_000_000
            let entries = (0..<20_000 as Range<Int64>).map {
                "__REALTIME_TIMESTAMP=\(micros + $0)\nMESSAGE=entry \($0)\nPRIORITY=4\n"
                    + "_SYSTEMD_UNIT=web.service\n_HOSTNAME=box\n\n"
            }.joined()
            var reply = try await server.post(
                "/upload", "application/vnd.fdo.journal", Array(entries.utf8))
            #expect(reply.status == 202, "\(reply.text)")
            let lines = try await server.lines(#"{systemd_unit="web.service"} |= "entry 19999""#)
            #expect(lines.contains("entry 19999") && lines.contains("warn"), "\(lines)")
            let count = try await server.get(
                "/loki/api/v1/query?query="
                    + percentEncoded(#"sum(count_over_time({service_name="web"}[1h]))"#))
            #expect(count.text.contains("\"20000\""), "\(count.text)")
            // What came before the damage stays.
            reply = try await server.post(
                "/insert/journald/upload", "application/vnd.fdo.journal",
                Array("MESSAGE=whole\n_HOSTNAME=cut\n\nbad name=x\n".utf8))
            #expect(reply.status == 400 && reply.text.contains("journal: "), "\(reply.text)")
            #expect(try await server.lines(#"{hostname="cut"}"#).contains("whole"))
            #expect(try await server.post("/upload", "text/plain", [65]).status == 415)
        }
    }

    @Test func uploadsMayTakeLongerThanARequest() async throws {
        try await withServer({ $0.setReadTimeout(seconds: 5) }) { server in
            let port = server.port
            let reply = try await onThread {
                let connection = try RawConnection(port: port)
                defer { connection.close() }
                _ = connection.send(
                    "POST /upload HTTP/1.1\r\nHost: x\r\nContent-Type: application/vnd.fdo.journal\r\n"
                        + "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
                for i in 0..<4 {
                    let entry = "MESSAGE=slow \(i)\n_HOSTNAME=slow\n\n"
                    _ = connection.send(
                        String(entry.utf8.count, radix: 16) + "\r\n" + entry + "\r\n")
                    // Together longer than one request may take.
                    _ = connection.receive(seconds: 1.6)
                }
                _ = connection.send("0\r\n\r\n")
                return connection.receiveAll(seconds: 20).map {
                    String(decoding: $0, as: UTF8.self)
                }
            }
            #expect(reply?.contains("202") == true, "\(reply ?? "nothing")")
            #expect(try await server.lines(#"{hostname="slow"}"#).contains("slow 3"))
        }
    }

    @Test func events() async throws {
        try await withServer { server in
            var reply = try await server.send(
                "POST", "/insert/falco",
                #"{"output":"shell spawned","priority":"Critical","rule":"R","source":"syscall","time":"\#(nowText)","output_fields":{"proc.name":"sh"}}"#
            )
            #expect(reply.status == 204, "\(reply.text)")
            #expect(
                try await server.lines(
                    #"{job="falco"} | proc_name="sh" | detected_level="critical""#
                )
                .contains("shell spawned"))
            reply = try await server.send(
                "POST", "/insert/kubernetes-audit",
                #"{"kind":"EventList","items":[{"auditID":"1","verb":"get","stageTimestamp":"\#(nowText)","user":{"username":"eve"}}]}"#
            )
            #expect(reply.status == 204, "\(reply.text)")
            #expect(
                try await server.lines(#"{job="kubernetes-audit"} | user="eve""#).contains(
                    "auditID"))
            reply = try await server.send(
                "POST", "/insert/trivy",
                #"{"SchemaVersion":2,"ArtifactName":"app:1","Results":[{"Target":"t","Vulnerabilities":[{"VulnerabilityID":"CVE-1","Severity":"HIGH"}]}]}"#
            )
            #expect(reply.status == 204, "\(reply.text)")
            #expect(
                try await server.lines(#"{job="trivy",artifact="app:1"} | id="CVE-1""#)
                    .contains("CVE-1"))
            #expect(try await server.send("POST", "/insert/trivy", "{}").status == 400)
            let page = try await server.get("/metrics").text
            #expect(page.contains(#"tern_log_door_lines_total{door="falco"} 1"#))
        }
    }

    /// What falcosidekick's Loki output sends: a push of its own labels.
    @Test func falcosidekickPushes() async throws {
        try await withServer { server in
            let reply = try await server.post(
                "/loki/api/v1/push", "application/json",
                Array(
                    #"{"streams":[{"stream":{"rule":"R","source":"syscall","priority":"Warning","tags":"a,b"},"values":[["\#(now)","shell spawned"]]}]}"#
                        .utf8))
            #expect(reply.status == 204, "\(reply.text)")
            #expect(try await server.lines(#"{rule="R"}"#).contains("shell spawned"))
        }
    }
}
