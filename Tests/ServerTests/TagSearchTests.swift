// SPDX-License-Identifier: Apache-2.0
// Tempo's tag search becomes TraceQL.

import Testing
import TraceQL

@testable import Server

@Test func tagsBecomeSpansetsAndDurationsTraceConditions() throws {
    let search = TagSearch(
        tags: #"service.name=shop http.path="/a b" name=GET"#, minDuration: "10ms",
        maxDuration: "1.5s")
    let text = try search.query()
    #expect(
        text == #"{ ."service.name" =~ "(?is).*shop.*" } && "#
            + #"{ ."http.path" =~ "(?is).*\\/a\\ b.*" } && { name =~ "(?is).*GET.*" } && "#
            + "{ traceDuration >= 10000000ns } && { traceDuration <= 1500000000ns }")
    _ = try TraceQLParser.parse(text)
    #expect(try TagSearch().query() == "{}")
}

@Test func tagsThatCannotBeReadAreNamed() {
    for (tags, least, most) in [
        ("novalue", nil, nil), (#"a="open"#, nil, nil), ("=x", nil, nil), (nil, "soon", nil),
        (nil, "-1s", nil), (nil, "2s", "1s"),
    ] as [(String?, String?, String?)] {
        let search = TagSearch(tags: tags, minDuration: least, maxDuration: most)
        #expect(throws: APIError.self, "\(search)") { try search.query() }
    }
}
