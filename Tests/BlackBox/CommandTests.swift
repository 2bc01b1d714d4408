// SPDX-License-Identifier: Apache-2.0
// One-shot commands and the shell, as scripts use them.

import Glibc
import TestKit
import Testing

@Suite struct CommandTests {
    @Test func everyCommandPrintsRowsIntoAPipe() async throws {
        try await withTemporaryDirectory { folder in
            let server = try await ServerProcess.start(folder + "/data", in: folder)
            try await writeAllSignals(server)
            let url = ["--url", server.url]
            let cases: [([String], [String])] = [
                (
                    ["query", "metrics", "shop_orders_total"],
                    ["series\tvalue\n", "shop_orders_total{job=\"shop\"}\t42\n"]
                ),
                (
                    ["query", "metrics", "shop_orders_total", "--step", "60s"],
                    ["series\ttimestamp\tvalue\n"]
                ),
                (
                    ["explain", "sum(shop_orders_total)"],
                    [
                        "operator\tseries\tsamples\t", "\naggregate sum\t1\t\t1\t",
                        "\n  select\t1\t1\t1\t", "\t{__name__=\"shop_orders_total\"}",
                    ]
                ),
                (
                    ["explain", "shop_orders_total", "--range", "10m", "--step", "60s"],
                    ["\nselect\t1\t1\t11\t", "\nwhole query\t1\t1\t"]
                ),
                (
                    ["query", "logs", "{service_name=\"shop\"}"],
                    ["time\tlabels\tline\n", "\torder failed trace_id=\(traceID)\n"]
                ),
                (["query", "traces", "{ name = \"charge\" }"], ["trace\tstart\t", traceID]),
                (["trace", traceID.uppercased()], ["POST /order", "order failed", "ERROR"]),
                (["services"], ["service\t", "shop\t"]),
                (["labels"], ["label\n", "job\n"]),
                (["labels", "job"], ["job\nshop\n"]),
                (["series", "{job=\"shop\"}"], ["series\nshop_orders_total{job=\"shop\"}\n"]),
            ]
            for (arguments, texts) in cases {
                let outcome = try await tern(arguments + url, in: folder)
                #expect(outcome.code == 0, "\(arguments): \(outcome.errors)")
                for text in texts {
                    #expect(outcome.output.contains(text), "\(arguments): \(outcome.output)")
                }
                #expect(!outcome.output.contains("\u{1b}"))
            }
            #expect(try await server.stop().code == 0)
        }
    }

    @Test func eachFormIsItself() async throws {
        try await withTemporaryDirectory { folder in
            let server = try await ServerProcess.start(folder + "/data", in: folder)
            try await writeAllSignals(server)
            let series = #"shop_orders_total{job="shop"}"#
            let forms: [(String, String)] = [
                ("json", #""resultType":"vector""#),
                ("jsonl", #"{"series":"shop_orders_total{job=\"shop\"}","value":"42"}"# + "\n"),
                ("csv", "__name__,job,value\nshop_orders_total,shop,42\n"),
                ("tsv", "series\tvalue\n\(series)\t42\n"),
                ("markdown", "| series | value |\n| --- | ---: |\n| \(series) | 42 |\n"),
                ("raw", "42\n"),
                ("table", "SERIES"),
                ("wide", "JOB"),
            ]
            for (form, expected) in forms {
                let outcome = try await tern(
                    ["query", "metrics", "shop_orders_total", "-o", form, "--url", server.url],
                    in: folder, environment: ["NO_COLOR": "1"])
                #expect(outcome.code == 0, "\(form): \(outcome.errors)")
                #expect(outcome.output.contains(expected), "\(form): \(outcome.output)")
                #expect(!outcome.output.contains("\u{1b}"))
            }
            #expect(try await server.stop().code == 0)
        }
    }

    @Test func theShellReadsLinesFromAPipe() async throws {
        try await withTemporaryDirectory { folder in
            let server = try await ServerProcess.start(folder + "/data", in: folder)
            try await writeAllSignals(server)
            let outcome = try await tern(
                ["shell", "--url", server.url], in: folder,
                input: """
                    shop_orders_total
                    {service_name="shop"} |= "failed"
                    { status = error }
                    \\labels job
                    \\o raw
                    shop_orders_total * 2
                    \\q
                    never_reached
                    """)
            #expect(outcome.code == 0, "\(outcome.errors)")
            for text in ["\t42\n", "order failed", traceID, "job\nshop\n", "84\n"] {
                #expect(outcome.output.contains(text), "\(outcome.output)")
            }
            #expect(!outcome.output.contains("never_reached"))
            #expect(!outcome.output.contains(">"))
            let failing = try await tern(
                ["shell", "--url", server.url], in: folder, input: "sum(\n")
            #expect(failing.code == 1)
            #expect(failing.errors.contains("parse error"), "\(failing.errors)")
            #expect(try await server.stop().code == 0)
        }
    }

    @Test func exitCodesSayWhatHappened() async throws {
        try await withTemporaryDirectory { folder in
            let server = try await ServerProcess.start(
                folder + "/data", in: folder, flags: ["--tenancy", "header"])
            let query = ["query", "metrics", "--url", server.url]
            let refused = try await tern(query + ["up"], in: folder)
            #expect(refused.code == 3)
            #expect(refused.errors == "error: no org id\n", "\(refused.errors)")
            let wrong = try await tern(query + ["sum(", "--tenant", "a"], in: folder)
            #expect(wrong.code == 1)
            #expect(wrong.errors.contains("parse error"), "\(wrong.errors)")
            let good = try await tern(query + ["vector(1)", "--tenant", "a"], in: folder)
            #expect(good.code == 0)
            let missing = try await tern(
                ["trace", "abc", "--url", server.url, "--tenant", "a"], in: folder)
            #expect(missing.code == 1)
            #expect(missing.errors.contains("not found"), "\(missing.errors)")
            #expect(try await server.stop().code == 0)
            let gone = try await tern(query + ["up"], in: folder)
            #expect(gone.code == 1)
            #expect(gone.errors.contains("cannot reach \(server.url)"), "\(gone.errors)")
        }
    }

    private func answer(_ body: String) -> String {
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            + "Content-Length: \(body.utf8.count)\r\n\r\n" + body
    }

    /// Prometheus' and Loki's shapes have no field for it: there a warning says so.
    @Test func incompleteAnswersHaveTheirCode() async throws {
        let result = #""data":{"resultType":"vector","result":[]}"#
        let lacks = "the answer is incomplete: part 7 at offset 12: checksum"
        let cases: [(String, Int32)] = [
            (#"{"status":"success","partial":true,\#(result)}"#, 4),
            (#"{"status":"success","warnings":["\#(lacks)"],\#(result)}"#, 4),
            (#"{"status":"success","warnings":["of another kind"],\#(result)}"#, 0),
        ]
        try await withTemporaryDirectory { folder in
            for (body, code) in cases {
                let server = try FakeServer(answer: answer(body))
                let outcome = try await tern(
                    ["query", "metrics", "up", "--url", "http://127.0.0.1:\(server.port)"],
                    in: folder)
                #expect(outcome.code == code, "\(body): \(outcome.errors)")
            }
        }
    }

    @Test func labelsAsksForTheTimeItWasTold() async throws {
        try await withTemporaryDirectory { folder in
            let server = try FakeServer(answer: answer(#"{"status":"success","data":["job"]}"#))
            let outcome = try await tern(
                ["labels", "--since", "90s", "--url", "http://127.0.0.1:\(server.port)"],
                in: folder)
            #expect(outcome.code == 0, "\(outcome.errors)")
            let target = server.lastRequest.prefix { $0 != "\r" && $0 != "\n" && $0 != "\r\n" }
            let values = target.split { "?&= ".contains($0) }.map(String.init)
            let start = try #require(
                values.firstIndex(of: "start").flatMap { Double(values[$0 + 1]) })
            let end = try #require(values.firstIndex(of: "end").flatMap { Double(values[$0 + 1]) })
            #expect(abs(end - start - 90) < 0.01, "\(target)")
        }
    }

    @Test func aCancelledQueryHasItsCode() async throws {
        try await withTemporaryDirectory { folder in
            let silent = try FakeServer(answer: nil)
            let running = try Program(
                ["query", "metrics", "up", "--url", "http://127.0.0.1:\(silent.port)"],
                in: folder)
            while silent.requestCount == 0 { try await Task.sleep(for: .milliseconds(10)) }
            running.signal(SIGINT)
            let cancelled = try await running.wait(seconds: 20)
            #expect(cancelled.code == 5)
            #expect(cancelled.errors == "error: cancelled\n", "\(cancelled.errors)")
        }
    }
}
