// SPDX-License-Identifier: Apache-2.0
// Files with tests of rules, as promtool reads them.

import Base
import PromQL
import Rules
import Yams

/// How a file of tests came out.
package struct RuleTestReport: Sendable {
    package var file: String
    /// Patterns of rule files that match nothing.
    package var notes: [String] = []
    /// Empty = all tests pass.
    package var faults: [String] = []
    /// Names of the tests that ran.
    package var tests = 0
}

/// Runs all tests of a file.
///
/// - Parameters:
///   - filter: names of the tests to run, unanchored; nil = all.
///   - ignoresUnknownFields: of rule files.
package func runRuleTests(
    _ path: String, filter: RegularExpression? = nil, ignoresUnknownFields: Bool = false,
    parser: ParserOptions = ParserOptions()
) async -> RuleTestReport {
    var report = RuleTestReport(file: path)
    do {
        let file = try RuleTestFile(path)
        var options = RuleFileOptions()
        options.ignoresUnknownFields = ignoresUnknownFields
        options.parser = parser
        var settings = file.settings
        settings.parser = parser
        var groups: [RuleGroupDefinition] = []
        var isBroken = false
        for pattern in file.rulePatterns {
            let files = FilePattern.files(pattern, in: file.directory)
            if files.isEmpty { report.notes.append("no file match pattern \(pattern)") }
            for rules in files {
                do throws(RuleFileError) {
                    groups += try RuleFile.load(rules, options).groups
                } catch {
                    isBroken = true
                    report.faults.append(error.description)
                }
            }
        }
        if isBroken, !file.tests.isEmpty { return report }
        for test in file.tests {
            if let filter, !filter.matchesAnywhere(test.name) { continue }
            report.tests += 1
            do throws(ParseError) {
                var run = try RuleUnitTestRun(test, groups, settings)
                report.faults += await run.run()
            } catch { report.faults.append("\(error)") }
        }
    } catch { report.faults.append("\(error)") }
    return report
}

/// A file with `tests:`.
struct RuleTestFile {
    let directory: String
    private(set) var rulePatterns: [String] = []
    private(set) var settings = RuleUnitTestSettings()
    private(set) var tests: [RuleUnitTest] = []

    init(_ path: String) throws(ConfigurationError) {
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        directory = parts.dropLast().joined(separator: "/")
        let text = try fileText(path)
        guard RuleFile.isShallow(text) else { throw ConfigurationError("nested too deeply") }
        let root: Node?
        do { root = try Yams.compose(yaml: text) } catch {
            throw ConfigurationError("not valid YAML: \(error)")
        }
        guard let root, root.null == nil else { return }
        var top = try YAMLSection(root, "the test file")
        rulePatterns = try top.strings("rule_files") ?? []
        if let interval = try top.millis("evaluation_interval"), interval > 0 {
            settings.evaluationMillis = interval
        }
        settings.groupOrder = try top.strings("group_eval_order") ?? []
        if let name = settings.groupOrder.firstRepeated {
            throw top.failure("group name repeated in evaluation order: \(name)")
        }
        settings.isFuzzy = try top.bool("fuzzy_compare") ?? false
        for section in try top.sections("tests") {
            tests.append(try Self.test(section, settings))
        }
        try top.finish()
    }

    private static func test(
        _ section: YAMLSection, _ settings: RuleUnitTestSettings
    ) throws(ConfigurationError) -> RuleUnitTest {
        var section = section
        var test = RuleUnitTest()
        test.name = try section.string("name") ?? ""
        test.intervalMillis = settings.evaluationMillis
        if let interval = try section.millis("interval"), interval > 0 {
            test.intervalMillis = interval
        }
        if let start = try section.string("start_timestamp") {
            do throws(TimeTextError) { test.startMillis = try parseTimeMillis(start) } catch {
                throw section.failure("start_timestamp: \(error)")
            }
        }
        for var series in try section.sections("input_series") {
            test.input.append(
                .init(
                    series: try series.string("series") ?? "",
                    values: try series.string("values") ?? ""))
            try series.finish()
        }
        for var item in try section.sections("alert_rule_test") {
            var alert = RuleUnitTest.AlertCase()
            alert.evalMillis = try item.millis("eval_time") ?? 0
            alert.alert = try item.string("alertname") ?? ""
            for var expected in try item.sections("exp_alerts") {
                alert.expected.append(
                    .init(
                        labels: try expected.texts("exp_labels"),
                        annotations: try expected.texts("exp_annotations")))
                try expected.finish()
            }
            try item.finish()
            test.alertCases.append(alert)
        }
        for var item in try section.sections("promql_expr_test") {
            test.expressionCases.append(try expression(&item))
        }
        test.surroundings.externalLabels = try section.texts("external_labels")
        test.surroundings.externalURL = try section.string("external_url") ?? ""
        try section.finish()
        return test
    }

    private static func expression(
        _ item: inout YAMLSection
    ) throws(ConfigurationError) -> RuleUnitTest.ExpressionCase {
        var result = RuleUnitTest.ExpressionCase()
        result.expression = try item.string("expr") ?? ""
        result.evalMillis = try item.millis("eval_time") ?? 0
        for var section in try item.sections("exp_samples") {
            var sample = RuleUnitTest.ExpectedSample()
            sample.labels = try section.string("labels") ?? ""
            sample.histogram = try section.string("histogram") ?? ""
            if let text = try section.string("value") {
                guard let value = yamlFloat(text) else {
                    throw section.failure("value must be a number, not \(text)")
                }
                sample.value = value
            }
            try section.finish()
            result.expected.append(sample)
        }
        try item.finish()
        return result
    }

    /// A number as YAML writes it: `.inf` and `.nan` beside what Prometheus reads.
    private static func yamlFloat(_ text: String) -> Double? {
        switch text.lowercased() {
        case ".inf", "+.inf": .infinity
        case "-.inf": -.infinity
        case ".nan": .nan
        default: parseFloat(text)
        }
    }
}

extension [String] {
    fileprivate var firstRepeated: String? {
        var seen: Set<String> = []
        return first { !seen.insert($0).inserted }
    }
}
