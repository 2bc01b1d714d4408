// SPDX-License-Identifier: Apache-2.0
// Texts of alerts.

import Ingest
import PromQL
import Telemetry
import Testing

@testable import Rules

private struct NoQueries: RuleQuerying {
    func query(
        _ text: String, _ language: RuleLanguage, atNanos nanos: Int64, windowMillis: Int64
    ) throws -> [RuleSample] {
        if text == "bad" { throw RuleQueryError("no such thing") }
        return ["b", "a"].enumerated().map { place, host in
            RuleSample(
                labels: Labels([("host", host), ("__value__", "text")]),
                value: .float(Double(place) + 0.5))
        }
    }
    func queryRange(
        _ text: String, _ language: RuleLanguage, startMillis: Int64, endMillis: Int64,
        stepMillis: Int64
    ) throws -> [MatrixSeries] { [] }
    func newest(_ matchers: [LabelMatcher], in range: MillisRange) throws -> [NewestSample] { [] }
}

private func expand(_ text: String, value: Double = 1.5) -> String {
    let sample = RuleSample(
        labels: Labels([("host", "web-1.example.org:9100"), ("job", "node")]),
        value: .float(value))
    let surroundings = AlertTemplate.Surroundings(
        externalLabels: [RuleText("cluster", "eu")], externalURL: "http://tern.example/base")
    return AlertTemplate(sample, surroundings, atNanos: 1_500_000_000_000, NoQueries())
        .expand(text, alert: "A")
}

@Test(arguments: [
    ("plain", "plain"), ("{{ $labels.job }}", "node"), ("{{ .Labels.job }}", "node"),
    ("[{{ $labels.none }}]", "[]"), ("{{ $value }}", "1.5"),
    ("{{ $externalLabels.cluster }} {{ $externalURL }}", "eu http://tern.example/base"),
    (
        "{{ range $k, $v := $labels }}{{ $k }}={{ $v }};{{ end }}",
        "host=web-1.example.org:9100;job=node;"
    ),
    ("{{ printf \"%.2f\" $value }}", "1.50"),
    ("{{ if gt $value 1.0 }}high{{ else }}low{{ end }}", "high"),
    ("{{ $labels.host | stripPort }}", "web-1.example.org"),
    ("{{ $labels.host | stripDomain }}", "web-1:9100"),
    ("{{ \"10.1.2.3:80\" | stripDomain }}", "10.1.2.3:80"),
    ("{{ \"[::1]:80\" | stripPort }}", "::1"),
    ("{{ reReplaceAll \"(.*)-1\" \"$1-2\" \"web-1\" }}", "web-2"),
    ("{{ if match \"^no\" $labels.job }}yes{{ else }}no{{ end }}", "yes"),
    ("{{ if match \"^x\" $labels.job }}yes{{ else }}no{{ end }}", "no"),
    ("{{ title \"two words\" }} {{ toUpper \"x\" }} {{ toLower \"Y\" }}", "Two Words X y"),
    ("{{ graphLink \"up == 0\" }}", "/graph?g0.expr=up+%3D%3D+0&g0.tab=0"),
    ("{{ tableLink \"up\" }}", "/graph?g0.expr=up&g0.tab=1"),
    ("{{ externalURL }} {{ pathPrefix }}", "http://tern.example/base /base"),
    ("{{ urlQueryEscape \"a b&c\" }}", "a+b%26c"), ("{{ parseDuration \"1h30m\" }}", "5400"),
    ("{{ now }}", "1500"), ("{{ safeHtml \"<b>\" }}", "<b>"),
    (
        "{{ define \"t\" }}<{{ .arg0 }}|{{ .arg1 }}>{{ end }}{{ template \"t\" args 1 \"x\" }}",
        "<1|x>"
    ),
    ("{{ define \"t\" }}({{ . }}){{ end }}{{ tmpl \"t\" 7 }}", "(7)"),
    (
        "{{ with query \"up\" }}{{ . | first | value }} {{ . | first | label \"host\" }}{{ end }}",
        "0.5 b"
    ),
    (
        "{{ range query \"up\" | sortByLabel \"host\" }}{{ .Labels.host }}{{ .Value }} {{ end }}",
        "a1.5 b0.5 "
    ),
    ("{{ query \"up\" | first | strvalue }}", "text"),
    ("{{ toTime 1500000000.5 }}", "2017-07-14 02:40:00.5 +0000 UTC"),
    ("{{ toDuration 90.5 }}", "1m30.5s"),
    ("{{ humanizeTimestamp 1500000000 }}", "2017-07-14 02:40:00 +0000 UTC"),
])
func templatesExpand(text: String, expected: String) {
    #expect(expand(text) == expected)
}

@Test(
    arguments: [
        (0.0, "0", "0", "0s", "0%"), (1, "1", "1", "1s", "100%"),
        (1_234_567, "1.235M", "1.177Mi", "14d 6h 56m 7s", "1.235e+08%"),
        (0.0123, "12.3m", "0.0123", "12.3ms", "1.23%"), (-75, "-75", "-75", "-1m 15s", "-7500%"),
        (3725, "3.725k", "3.638ki", "1h 2m 5s", "3.725e+05%"),
        (.infinity, "+Inf", "+Inf", "+Inf", "+Inf%"), (.nan, "NaN", "NaN", "NaN", "NaN%"),
    ] as [(Double, String, String, String, String)])
func numbersAreHumanized(
    value: Double, decimal: String, binary: String, duration: String, percentage: String
) {
    #expect(HumanNumbers.humanize(value) == decimal)
    #expect(HumanNumbers.humanize1024(value) == binary)
    #expect(HumanNumbers.humanizeDuration(value) == duration)
    #expect(HumanNumbers.humanizePercentage(value) == percentage)
    #expect(expand("{{ humanize $value }}", value: value) == decimal)
}

@Test func failuresSayWhere() {
    #expect(
        expand("{{ $labls.x }}")
            == "<error expanding template: error parsing template __alert_A: template: __alert_A:1: "
            + "undefined variable \"$labls\">")
    let failed = expand("{{ query \"bad\" }}")
    #expect(failed.hasPrefix("<error expanding template: error executing template __alert_A: "))
    #expect(failed.hasSuffix("error calling query: no such thing>"))
    #expect(expand("{{ humanize \"x\" }}").contains("error calling humanize: strconv.ParseFloat"))
    #expect(
        expand("{{ toUpper $value }}").hasSuffix(
            "at <$value>: wrong type for value; expected string; got float64>"))
    #expect(
        expand("{{ $value | toUpper }}").hasSuffix(
            "at <toUpper>: wrong type for value; expected string; got float64>"))
    #expect(expand("{{ .labels.x }}").contains("can't evaluate field labels in type struct"))
    #expect(expand("{{ __line__ }}").contains("function \"__line__\" not defined"))
    #expect(
        expand("{{ define \"t\" }}{{ template \"t\" . }}{{ end }}{{ template \"t\" 1 }}")
            .contains("exceeded maximum template depth"))
}

@Test func faultyRulesAreNamed() {
    var rule = RuleDefinition.alert(
        "A", "up ==", labels: [RuleText("__name__", "x"), RuleText("sev", "{{ $lab }}")])
    #expect(
        rule.faults() == [
            "could not parse expression: 1:6: parse error: unexpected end of input",
            "invalid label name: __name__",
            "label \"sev\": template: __alert_A:1: undefined variable \"$lab\"",
        ])
    rule = .record("a b{}", "1")
    rule.holdMillis = 1
    #expect(
        rule.faults() == [
            "invalid field 'for' in recording rule",
            "braces present in the recording rule name; should it be in expr?: a b{}",
        ])
    #expect(
        RuleDefinition.record("a b", "1").faults(.promql, .legacy) == [
            "invalid recording rule name: a b"
        ])
    #expect(
        RuleDefinition().faults() == [
            "one of 'record' or 'alert' must be set", "field 'expr' must be set in rule",
        ])
    #expect(
        RuleDefinition.record("a", "{app=\"x\"}").faults(.logql) == [
            "could not parse expression: a rule needs a metric query, not a log query"
        ])
    #expect(
        RuleDefinition.record("a", "sum(rate({app=\"x\"}[5m]))").faults(.logql).isEmpty)
}
