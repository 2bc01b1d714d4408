// SPDX-License-Identifier: Apache-2.0
// The rule files of a configuration.

import Ingest
import PromQL
import Rules
import Scrape

extension Configuration {
    /// Interval of rule groups that name none, and step of subqueries that name none.
    var evaluationMillis: Int64 { Int64(global.evaluationIntervalSeconds * 1000) }

    /// What rule files are read with.
    func ruleOptions(_ parser: ParserOptions) -> RuleFileOptions {
        var options = RuleFileOptions()
        options.intervalMillis = evaluationMillis
        options.queryOffsetMillis = Int64(global.ruleQueryOffsetSeconds * 1000)
        options.names = global.nameScheme ?? .utf8
        options.parser = parser
        options.tenant = global.scrape.tenant
        return options
    }

    /// Reads the files that `rule_files` names; each once, however many patterns name it.
    ///
    /// - Throws: `RuleFileError` of the first file that cannot be used.
    mutating func loadRules(_ parser: ParserOptions) throws(RuleFileError) {
        let options = ruleOptions(parser)
        var seen: Set<String> = []
        ruleGroups = []
        for pattern in ruleFiles {
            for path in FilePattern.files(pattern, in: "") where seen.insert(path).inserted {
                let file = try RuleFile.load(path, options)
                ruleGroups += file.groups
                notes += file.notes.map { "\(path): \($0)" }
            }
        }
    }
}
