// SPDX-License-Identifier: Apache-2.0
// Rule files and files with tests of rules.

import Base
import Ingest
import FoundationEssentials
import Rules
import TestKit
import Testing

@testable import Server

private func groups(
    _ text: String, _ options: RuleFileOptions = RuleFileOptions()
) throws -> [RuleGroupDefinition] {
    try RuleFile.parse(text, path: "r.yml", options).groups
}

private func faults(
    _ text: String, _ options: RuleFileOptions = RuleFileOptions()
) -> [String] {
    do throws(RuleFileError) {
        _ = try RuleFile.parse(text, path: "r.yml", options)
        return []
    } catch { return error.faults }
}

@Test func everyKeyOfAGroupCounts() throws {
    let all = try groups(
        """
        groups:
          - name: one
            interval: 90s
            query_offset: 1m
            limit: 5
            labels: {team: blue, severity: low}
            rules:
              - record: a:b
                expr: sum(x)
                labels: {zone: ''}
              - alert: A
                expr: 1
                for: 2m
                keep_firing_for: 3m
                labels: {severity: high}
                annotations: {summary: "{{ $labels.job }}"}
          - name: two
            language: logql
            rules: [{record: n, expr: 'count_over_time({app="x"}[1m])'}]
          - name: three
        """)
    #expect(all.map(\.name) == ["one", "two", "three"])
    let one = all[0]
    #expect(one.intervalMillis == 90_000)
    #expect(one.queryOffsetMillis == 60_000)
    #expect(one.limit == 5)
    #expect(one.rules[0].record == "a:b")
    #expect(one.rules[0].labels == [RuleText("zone", "")])
    #expect(one.rules[1].holdMillis == 120_000)
    #expect(one.rules[1].keepFiringMillis == 180_000)
    #expect(one.rules[1].expression == "1")
    #expect(one.rules[1].annotations == [RuleText("summary", "{{ $labels.job }}")])
    #expect(
        one.labels(of: one.rules[1]) == [RuleText("severity", "high"), RuleText("team", "blue")])
    #expect(all[1].language == .logql)
    #expect(all[1].intervalMillis == 60_000)
    #expect(all[2].rules.isEmpty)
    #expect(try groups("").isEmpty)
    #expect(try groups("groups: []").isEmpty)
}

@Test func globalSettingsFillIn() throws {
    var options = RuleFileOptions()
    options.intervalMillis = 15_000
    options.queryOffsetMillis = 5_000
    let all = try groups("groups: [{name: a}, {name: b, interval: 1m, query_offset: 0s}]", options)
    #expect(all.map(\.intervalMillis) == [15_000, 60_000])
    #expect(all.map(\.queryOffsetMillis) == [5_000, 0])
}

@Test func faultsSayWhere() {
    #expect(
        faults("groups:\n  - name: g\n    rules:\n      - record: a\n        expr: sum(\n") == [
            "5:15: group \"g\", rule 1, \"a\": could not parse expression: 1:5: parse error: "
                + "unclosed left parenthesis"
        ])
    #expect(
        faults("groups:\n  - name: g\n  - name: g\n  - rules: []\n") == [
            "3:5: groupname: \"g\" is repeated in the same file",
            "4:5: Groupname must not be empty",
        ])
    #expect(
        faults("groups: [{name: g, labels: {__name__: x}}]") == ["invalid label name: __name__"])
    let unknown = faults("groups:\n  - name: g\n    intervall: 1m\n")
    #expect(unknown == ["line 3: field intervall not found in group: did you mean interval?"])
    var lenient = RuleFileOptions()
    lenient.ignoresUnknownFields = true
    #expect(faults("groups:\n  - name: g\n    owner: me\n", lenient).isEmpty)
    #expect(faults("groups: {}").count == 1)
    #expect(faults("groups: [").count == 1)
    #expect(faults("groups: [{name: g, language: sql}]").count == 1)
    #expect(faults("groups: [{name: g, interval: 5}]").count == 1)
    #expect(faults("groups: [{name: g, rules: [{record: a, expr: 1, for: 1m}]}]").count == 1)
}

@Test func nestingIsBounded() {
    for deep in [
        String(repeating: "[", count: 100_000), String(repeating: "{a: ", count: 100_000),
        String(repeating: "- ", count: 100_000),
        (0..<2000).map { String(repeating: " ", count: $0) + "a:\n" }.joined(),
    ] {
        #expect(faults(deep) == ["nested too deeply"])
        #expect(faults("groups:\n  - name: g\n    rules:\n      " + deep) == ["nested too deeply"])
    }
    #expect(faults("groups: [{name: g, rules: [{record: a, expr: 'x - - - - 1'}]}]").isEmpty)
}

@Test func mergedKeysAndFurtherDocuments() throws {
    let file = try RuleFile.parse(
        """
        groups:
          - name: g
            rules:
              - &base {alert: A, expr: up == 0, labels: {severity: page}}
              - {<<: *base, alert: B}
        ---
        groups: []
        """, path: "r.yml")
    #expect(file.groups[0].rules.map(\.alert) == ["A", "B"])
    #expect(file.groups[0].rules[1].labels == [RuleText("severity", "page")])
    #expect(file.notes.count == 1)
}

@Test(arguments: [
    ("*.yml", "a.yml", true), ("*.yml", "a.yaml", false), ("a?c", "abc", true),
    ("a?c", "ac", false),
    ("[a-c]x", "bx", true), ("[^a-c]x", "bx", false), ("a*b*c", "axxbyyc", true), ("*", "", true),
    ("a\\*", "a*", true), ("a\\*", "ab", false), ("[a", "a", false),
])
func patternsMatchNames(pattern: String, name: String, matches: Bool) {
    #expect(FilePattern.matches(Array(pattern)[...], Array(name)[...]) == matches)
}

@Test func patternsFindFiles() async throws {
    try await withTemporaryDirectory { folder in
        for name in ["b/2.yml", "b/1.yml", "a/3.yml", "a/x.txt"] {
            let path = folder + "/" + name
            let parent = path[..<(path.lastIndex(of: "/") ?? path.endIndex)]
            try FileManager.default.createDirectory(
                atPath: String(parent), withIntermediateDirectories: true)
            #expect(FileManager.default.createFile(atPath: path, contents: Data()))
        }
        #expect(
            FilePattern.files("*/*.yml", in: folder)
                == ["/a/3.yml", "/b/1.yml", "/b/2.yml"].map { folder + $0 })
        #expect(FilePattern.files("a/x.txt", in: folder + "/") == [folder + "/a/x.txt"])
        #expect(FilePattern.files("a/none", in: folder).isEmpty)
        #expect(FilePattern.files(folder + "/b/[2-9].yml", in: "/elsewhere").count == 1)
    }
}

// MARK: corpora

@Test(.enabled(if: Corpora.folder != nil))
func ruleFilesOfTheCorpus() throws {
    func json(_ name: String) throws -> [CorpusJSON] {
        try CorpusJSON(parsing: try #require(Corpora.file("config/" + name))).array
    }
    let expected = try json("rulefmt-errors.json")
    var errors: [String: (text: String, isLegacy: Bool)] = [:]
    for entry in expected {
        errors[entry["file"]?.string ?? ""] = (
            entry["errorContains"]?.string ?? "",
            entry["nameValidation"]?.string == "legacy"
        )
    }
    #expect(!errors.isEmpty)
    let folder = try #require(Corpora.folder) + "/config/"
    for name in Corpora.names(under: "config/rulefmt") {
        var options = RuleFileOptions()
        options.names = errors[name]?.isLegacy == true ? .legacy : .utf8
        do throws(RuleFileError) {
            _ = try RuleFile.load(folder + "rulefmt/" + name, options)
            #expect(errors[name] == nil, "\(name) must be refused")
        } catch {
            let wanted = try #require(errors[name]?.text, "\(name): \(error)")
            #expect(error.description.contains(wanted), "\(name): \(error)")
        }
    }
    for entry in try json("rulefmt-templates.json") {
        let text = entry["rules"]?.string ?? ""
        #expect(faults(text).isEmpty == entry["ok"]?.bool, "\(text): \(faults(text))")
    }
    for name in Corpora.names(under: "config/rules") where name != "invalid_rules.yaml" {
        _ = try RuleFile.load(folder + "rules/" + name)
    }
}

/// Files with tests, and whether they pass.
private let verdicts = [
    "at-modifier-test.yml": true, "bad-input-series.yml": false, "bad-promql.yml": false,
    "bad-rules-error-test.yml": false, "bad-rules-syntax-test.yml": false, "failing.yml": false,
    "long-period.yml": true, "negative-offset-test.yml": true, "no-test-group-interval.yml": true,
]

@Test(.enabled(if: Corpora.folder != nil), arguments: verdicts.keys.sorted())
func testsOfTheCorpus(name: String) async throws {
    let report = await runRuleTests(try #require(Corpora.folder) + "/config/promtool/" + name)
    #expect(report.faults.isEmpty == verdicts[name], "\(report.faults)")
}
