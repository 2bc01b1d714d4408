// SPDX-License-Identifier: Apache-2.0
// `\\format`: the same query, laid out.

import Base
import TestKit
import Testing
import TraceQL

@testable import Shell

@Test func shortQueriesAreOneLine() throws {
    #expect(try formatted("sum(rate(x[5m]))by(job)", .metrics) == "sum by (job) (rate(x[5m]))")
    #expect(
        try formatted("{a=\"b\"}|=\"x\"|json", .logs) == "{a=\"b\"} |= \"x\" | json")
    #expect(
        try formatted("{.a=-5&&!(span.\"b c\".d>1s)}|count()>2", .traces)
            == "{ .a = -5 && !(span.\"b c\".d > 1s) } | count() > 2")
    #expect(
        try formatted("{}|rate()by(resource.service.name,.x)with(exemplars=true)", .traces)
            == "{} | rate() by (resource.service.name, .x) with (exemplars = true)")
}

@Test func longQueriesBreakAtPipes() throws {
    #expect(
        try formatted(
            "sum by (app) (rate({a=\"b\", c=\"d\"} |= \"x\" | json | d!=\"e\" [5m]))", .logs,
            width: 40)
                == """
                sum by (app) (
                  rate(
                    {a="b", c="d"}
                      |= "x"
                      | json
                      | d!="e" [5m]
                  )
                )
                """)
    #expect(
        try formatted(
            "{ resource.service.name = \"shop\" && span.http.status_code >= 500 } >> { .db = \"x\" } | by(name)",
            .traces, width: 70)
                == """
                { resource.service.name = "shop" && span.http.status_code >= 500 }
                  >> { .db = "x" }
                  | by (name)
                """)
}

@Test func faultsAndCommentsAreRefused() {
    #expect(throws: ShellError.self) { try formatted("sum(", .metrics) }
    #expect(throws: ShellError.self) { try formatted("{} # all\n| count() > 1", .traces) }
    #expect(throws: ShellError.self) { try formatted("{a=\"b\"} | nonsense(", .logs) }
}

/// What a query is, by the reflection of its syntax tree.
private func tree(_ text: String) throws -> String {
    "\(try TraceQLParser.parse(text))"
}

@Test func laidOutTraceQueriesMeanTheSame() throws {
    var queries = [
        "{ } >> { .a } &>> {} !~ { kind = server }", "{ -(.a) = - 5 } | avg(duration) > -1.5",
        "({ .a } | count() > 1) && ({ .b } || { .c = nil })", "{ status=error||name=~\"a|b\" }",
        "{ event.\"x y\" != `a` } | select(span.a, .\"b\") | coalesce()",
        "{ 1 + 2 * .a ^ 3 % 4 - 1 >= 0 } | quantile_over_time(duration, .99, 0.5) by (.a)",
    ]
    if let file = Corpora.file("traceql/queries.yaml") {
        for line in String(decoding: file, as: UTF8.self).split(separator: "\n") {
            // Strings as JSON has them.
            let value = try? JSONValue(parsing: Array(line.drop { $0 == " " || $0 == "-" }.utf8))
            guard case .string(let query) = value else { continue }
            if syntaxFault(query, .traces) == nil { queries.append(query) }
        }
    }
    #expect(Corpora.folder == nil || queries.count > 100)
    for query in queries {
        let wanted = try tree(query)
        for width in [1, 40, 100] {
            let text = try formatted(query, .traces, width: width)
            #expect(syntaxFault(text, .traces) == nil, "\(query): \(text)")
            if syntaxFault(text, .traces) == nil {
                #expect(try tree(text) == wanted, "\(query): \(text)")
            }
        }
    }
}
