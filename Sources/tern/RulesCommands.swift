// SPDX-License-Identifier: Apache-2.0
// `tern check rules` and `tern test rules`.

import ArgumentParser
import Base
import Rules
import Server
import Shell

struct CheckRules: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rules", abstract: "Verify rule files.")
    @Flag(help: "Pass over keys that are not known.")
    var ignoreUnknownFields = false
    @Flag(help: "Fail on what is odd too, such as the same rule twice.")
    var lintFatal = false
    @Argument(help: "Rule files.")
    var files: [String]

    func run() throws {
        var options = RuleFileOptions()
        options.ignoresUnknownFields = ignoreUnknownFields
        var isGood = true
        for path in files {
            Terminal.write("Checking \(path)\n")
            do throws(RuleFileError) {
                let file = try RuleFile.load(path, options)
                let notes = file.notes + duplicates(file.groups)
                for note in notes { Terminal.complain("note: \(note)") }
                if lintFatal, !notes.isEmpty { isGood = false }
                let count = file.groups.reduce(0) { $0 + $1.rules.count }
                Terminal.write("  SUCCESS: \(count) rules found\n")
            } catch {
                isGood = false
                Terminal.complain("  FAILED:\n\(error)")
            }
        }
        if !isGood { throw ExitCode.failure }
    }

    /// Rules of one name and one label set write the same series.
    private func duplicates(_ groups: [RuleGroupDefinition]) -> [String] {
        struct Key: Hashable {
            var name: String
            var labels: [RuleText]
        }
        var seen: [Key: Int] = [:]
        for group in groups {
            for rule in group.rules {
                seen[Key(name: rule.name, labels: group.labels(of: rule)), default: 0] += 1
            }
        }
        return seen.filter { $0.value > 1 }.map { key, count in
            let labels = key.labels.map { "\($0.name)=\(quotedText($0.value))" }
            return "\(count) rules of the same name and labels: \(key.name)"
                + (labels.isEmpty ? "" : "{" + labels.joined(separator: ", ") + "}")
        }.sorted()
    }
}

struct TestCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "test", abstract: "Run tests.", subcommands: [TestRules.self])
}

struct TestRules: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rules", abstract: "Run unit tests of rules, in promtool's format.")
    @Option(help: "Run only tests whose name matches this pattern.")
    var run: String?
    @Flag(help: "Pass over keys of rule files that are not known.")
    var ignoreUnknownFields = false
    @Argument(help: "Files with tests.")
    var files: [String]

    func run() async throws {
        let filter: RegularExpression?
        do { filter = try run.map { try RegularExpression($0) } } catch {
            throw ValidationError("--run is no pattern: \(error)")
        }
        var isGood = true
        for path in files {
            Terminal.write("Unit Testing:  \(path)\n")
            let report = await runRuleTests(
                path, filter: filter, ignoresUnknownFields: ignoreUnknownFields)
            for note in report.notes { Terminal.complain("  WARNING: \(note)") }
            if report.faults.isEmpty {
                Terminal.write("  SUCCESS\n\n")
            } else {
                isGood = false
                Terminal.complain("  FAILED:")
                for fault in report.faults { Terminal.complain(fault) }
                Terminal.write("\n")
            }
        }
        if !isGood { throw ExitCode.failure }
    }
}
