// SPDX-License-Identifier: Apache-2.0
// Which matchers reach which selectors.

import Telemetry
import Testing

@testable import PromQL

@Suite struct MatcherPropagationTests {
    /// Before and after; the text is the plan's, in which matchers stand sorted.
    @Test(arguments: [
        (#"a and b{job="x"}"#, #"a{job="x"} and b{job="x"}"#),
        (#"a{job="x"} and on (job) b"#, #"a{job="x"} and on (job) b{job="x"}"#),
        (#"a{job="x"} and on (instance) b"#, #"a{job="x"} and on (instance) b"#),
        (#"a{job="x"} and ignoring (job) b"#, #"a{job="x"} and ignoring (job) b"#),
        (#"a{job="x"} unless b"#, #"a{job="x"} unless b{job="x"}"#),
        (#"a unless b{job="x"}"#, #"a unless b{job="x"}"#),
        (#"a{job="x"} or b"#, #"a{job="x"} or b"#),
        // The many side of arithmetic, where nothing can be twice on the other. Else what it has
        // to match decides whether that fails.
        (
            #"a * on (job) group_left () sum by (job) (b{job=~"x|y",z="1"})"#,
            #"a{job=~"x|y"} * on (job) group_left () sum by (job) (b{job=~"x|y",z="1"})"#
        ),
        (
            #"a / ignoring (z) group_left () (2 * max by (job) (b{job="x"}))"#,
            #"a{job="x"} / ignoring (z) group_left () (2 * max by (job) (b{job="x"}))"#
        ),
        (
            #"a * on (job) group_left () sum by (job, z) (b{job="x"})"#,
            #"a * on (job) group_left () sum by (job, z) (b{job="x"})"#
        ),
        (
            #"a * on (job) group_left () topk by (job) (1, b{job="x"})"#,
            #"a * on (job) group_left () topk by (job) (1, b{job="x"})"#
        ),
        (
            #"a * on (job) group_left (v) b{job=~"x|y",z="1"}"#,
            #"a * on (job) group_left (v) b{job=~"x|y",z="1"}"#
        ),
        (
            #"a{job="x"} * on (job) group_left (v) b"#,
            #"a{job="x"} * on (job) group_left (v) b"#
        ),
        (
            #"min by (job) (a{job="x"}) * on (job) group_right () b"#,
            #"min by (job) (a{job="x"}) * on (job) group_right () b{job="x"}"#
        ),
        (#"a + fill (0) b{job="x"}"#, #"a + fill (0) b{job="x"}"#),
        // Through what keeps labels on one side, and what cannot warn on the other.
        (
            #"count by (job) (a) > on (job) sum by (job) (rate(b{job!="x",i="1"}[5m]))"#,
            #"count by (job) (a{job!="x"}) > on (job) sum by (job) (rate(b{i="1",job!="x"}[5m]))"#
        ),
        (
            #"count(a) > on (job) b{job="x"}"#,
            #"count(a) > on (job) b{job="x"}"#
        ),
        (
            #"rate(a[5m]) * on (job) b{job="x"}"#,
            #"rate(a[5m]) * on (job) b{job="x"}"#
        ),
        (
            #"a and label_replace(b{job="x"}, "job", "y", "", "")"#,
            #"a and label_replace(b{job="x"}, "job", "y", "", "")"#
        ),
        (
            #"a and on (v) count_values by (v) ("v", b{v="x"})"#,
            #"a and on (v) count_values by (v) ("v", b{v="x"})"#
        ),
        (
            #"a and (b{job="x"} * on (i) group_left (job) c)"#,
            #"a and (b{job="x"} * on (i) group_left (job) c)"#
        ),
        (
            #"(a unless c) and on (job) topk(1, b{job="x"})"#,
            #"(a{job="x"} unless c) and on (job) topk(1, b{job="x"})"#
        ),
    ])
    func matchersGoWhereTheyMay(_ text: String, _ planned: String) throws {
        let times = QueryTimes(start: 0, end: 0, step: 0)
        let resolved = try Resolution(times: times).resolve(try parseExpression(text))
        #expect(MatcherPropagation.apply(resolved).description == planned)
    }
}
