// SPDX-License-Identifier: Apache-2.0
// A trace as text.

import Base
import Testing

@testable import Shell

@Test func aWaterfallShowsSelfTimeThePathAndTheCode() throws {
    let json = """
        {"traceID":"01","startTimeUnixNano":"0","endTimeUnixNano":"100000000","spanCount":2,
        "errorCount":1,"rootService":"front","rootName":"GET","spans":[
        {"spanID":"a","parentSpanID":"","service":"front","name":"GET","kind":"server",
        "startTimeUnixNano":"0","durationNanos":"100000000","status":"unset","statusMessage":"",
        "selfTimeNanos":"40000000","criticalPathNanos":"40000000","code":null},
        {"spanID":"b","parentSpanID":"a","service":"back","name":"Load","kind":"server",
        "startTimeUnixNano":"20000000","durationNanos":"60000000","status":"error",
        "statusMessage":"no","selfTimeNanos":"60000000","criticalPathNanos":"0",
        "code":{"file":"Db.java","line":42,"function":null,"raw":"Db.java:42"}}],
        "logs":[],"exemplars":[],"partial":false}
        """
    var terminal = TerminalTraits.plain
    terminal.unicode = false
    let lines = Waterfall(try JSONValue(parsing: Array(json.utf8)), terminal).lines.map(\.plain)
    #expect(lines.count == 7)
    #expect(lines[1] == "(* on the critical path)")
    #expect(lines[3].hasSuffix("* front GET  100ms (self 40ms)"), "\(lines[3])")
    #expect(lines[4].hasSuffix("gap 20ms in no child"), "\(lines[4])")
    #expect(lines[6].hasSuffix("`- back Load  60ms  ERROR: no  at Db.java:42"), "\(lines[6])")
}
