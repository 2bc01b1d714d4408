// SPDX-License-Identifier: Apache-2.0
// Relabelling against Prometheus' rules.

import FoundationEssentials
import Ingest
import Telemetry
import TestKit
import Testing

private func rule(_ change: (inout RelabelRule.Definition) -> Void) throws -> RelabelRule {
    var definition = RelabelRule.Definition()
    change(&definition)
    return try RelabelRule(definition)
}

private func relabelled(_ pairs: [String: String], _ rules: [RelabelRule]) -> [String: String]? {
    relabel(Labels(pairs.map { ($0.key, $0.value) }), rules).map {
        Dictionary(uniqueKeysWithValues: $0.pairs.map { ($0.name, $0.value) })
    }
}

@Test func replaceJoinsSourcesAndExpandsGroups() throws {
    let rules = [
        try rule {
            $0.sourceLabels = ["host", "port"]
            $0.separator = ":"
            $0.regex = "(?P<name>[^:]+):(\\d+)"
            $0.targetLabel = "instance"
            $0.replacement = "${name}-$2-$$"
        }
    ]
    let result = relabelled(["host": "db1", "port": "5432"], rules)
    #expect(result?["instance"] == "db1-5432-$")
    #expect(relabelled(["host": "db1", "port": "x"], rules)?["instance"] == nil)
}

@Test func anEmptyReplacementRemovesTheLabel() throws {
    let rules = [
        try rule {
            $0.sourceLabels = ["a"]
            $0.targetLabel = "a"
            $0.replacement = ""
        }
    ]
    #expect(relabelled(["a": "1", "b": "2"], rules) == ["b": "2"])
}

@Test func keepAndDropDecideTheSet() throws {
    let keep = try rule {
        $0.sourceLabels = ["env"]
        $0.regex = "prod|stage"
        $0.action = "keep"
    }
    #expect(relabelled(["env": "prod"], [keep]) != nil)
    #expect(relabelled(["env": "production"], [keep]) == nil)
    let equal = try rule {
        $0.sourceLabels = ["a"]
        $0.targetLabel = "b"
        $0.action = "dropequal"
    }
    #expect(relabelled(["a": "x", "b": "x"], [equal]) == nil)
    #expect(relabelled(["a": "x", "b": "y"], [equal]) != nil)
}

@Test func labelsAreMappedAndDroppedByName() throws {
    let map = try rule {
        $0.regex = "__meta_(.+)"
        $0.action = "labelmap"
    }
    let drop = try rule {
        $0.regex = "__meta_.+"
        $0.action = "labeldrop"
    }
    #expect(relabelled(["__meta_pod": "a", "b": "c"], [map, drop]) == ["pod": "a", "b": "c"])
}

@Test func badRulesAreRefusedWithTheirReason() {
    #expect(throws: RelabelError("unknown relabel action \"frobnicate\"")) {
        try rule { $0.action = "frobnicate" }
    }
    #expect(throws: RelabelError.self) {
        try rule {
            $0.targetLabel = "a"
            $0.regex = "("
        }
    }
}

private struct RelabelCase: Decodable {
    struct Rule: Decodable {
        var source_labels: [String]?
        var separator: String?
        var regex: String?
        var modulus: UInt64?
        var target_label: String?
        var replacement: String?
        var action: String?
    }
    var relabel: [Rule]
    var input: [String: String]
    var dropped: Bool
    var output: [String: String]?
}

@Test func publicRelabelCases() throws {
    guard let bytes = Corpora.file("config/relabel.json") else { return }
    let cases = try JSONDecoder().decode([RelabelCase].self, from: Data(bytes))
    var faults: [String] = []
    for (number, test) in cases.enumerated() {
        let rules = try test.relabel.map { given in
            try rule {
                $0.sourceLabels = given.source_labels ?? $0.sourceLabels
                $0.separator = given.separator ?? $0.separator
                $0.regex = given.regex ?? $0.regex
                $0.modulus = given.modulus ?? 0
                $0.targetLabel = given.target_label ?? ""
                $0.replacement = given.replacement ?? $0.replacement
                $0.action = given.action ?? $0.action
            }
        }
        let result = relabelled(test.input, rules)
        if result != (test.dropped ? nil : test.output) {
            faults.append("case \(number): \(String(describing: result))")
        }
    }
    #expect(faults.isEmpty, "\(faults.joined(separator: "\n"))")
    #expect(cases.count > 20)
}

private struct ValidationCase: Decodable {
    struct Rule: Decodable {
        var action: String?
        var name_validation: String?
        var target_label: String?
        var replacement: String?
        var regex: String?
        var source_labels: [String]?
    }
    var config: Rule
    var error: String?
}

@Test func publicRelabelValidationCases() throws {
    guard let bytes = Corpora.file("config/relabel-validate.json") else { return }
    let cases = try JSONDecoder().decode([ValidationCase].self, from: Data(bytes))
    for (number, test) in cases.enumerated() {
        var definition = RelabelRule.Definition()
        definition.action = test.config.action ?? ""
        definition.names = test.config.name_validation.flatMap(NameScheme.init) ?? .utf8
        definition.targetLabel = test.config.target_label ?? ""
        if let replacement = test.config.replacement, !replacement.hasPrefix("Default") {
            definition.replacement = replacement
        }
        definition.regex = test.config.regex ?? definition.regex
        definition.sourceLabels = test.config.source_labels ?? []
        do throws(RelabelError) {
            _ = try RelabelRule(definition)
            #expect(test.error == nil, "case \(number)")
        } catch {
            let expected = try #require(test.error, "case \(number): \(error)")
            #expect(error.description.contains(expected), "case \(number): \(error)")
        }
    }
    #expect(cases.count > 5)
}

private struct TemplateCase: Decodable {
    var label: String
    var legacyValid: Bool
}

@Test func publicLabelTemplateCases() throws {
    guard let bytes = Corpora.file("config/relabel-target-labels.json") else { return }
    let cases = try JSONDecoder().decode([TemplateCase].self, from: Data(bytes))
    for test in cases {
        #expect(
            NameScheme.legacy.isValidLabelTemplate(test.label) == test.legacyValid,
            "\(test.label)")
    }
    #expect(cases.count > 10)
}

@Test func legacyNamesKeepReplacementsFromMakingOthers() throws {
    var definition = RelabelRule.Definition()
    definition.sourceLabels = ["a"]
    definition.targetLabel = "$1"
    definition.replacement = "v"
    definition.names = .legacy
    let rule = try RelabelRule(definition)
    #expect(relabelled(["a": "x.y"], [rule]) == ["a": "x.y"])
    #expect(relabelled(["a": "x_y"], [rule]) == ["a": "x_y", "x_y": "v"])
}
