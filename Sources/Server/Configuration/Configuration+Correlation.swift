// SPDX-License-Identifier: Apache-2.0
// Our section `correlation`.

import Base
import Correlation
import PromQL
import Telemetry

extension Configuration {
    /// Which names and labels mean which service, whatever the priority list says.
    mutating func readCorrelation(_ top: inout YAMLSection) throws(ConfigurationError) {
        guard var section = try top.section("correlation") else { return }
        var entries: [IdentityOverride] = []
        let sections = try section.sections("identities", ifNull: "empty or null identity")
        for (number, var identity) in sections.enumerated() {
            let place = "correlation: identity \(number + 1)"
            guard let name = try identity.string("name") else {
                throw identity.failure("\(place): name is needed")
            }
            var entry = IdentityOverride(name: name)
            entry.namespace = try identity.string("namespace")
            entry.aliases = try identity.strings("aliases") ?? []
            for text in try identity.strings("match") ?? [] {
                do throws(ParseError) { entry.selectors.append(try parseSelector(text)) } catch {
                    throw identity.failure(
                        "\(place) (\(quotedText(name))): match \(quotedText(text)): \(error)")
                }
            }
            try identity.finish()
            entries.append(entry)
        }
        try section.finish()
        do throws(IdentityOverrides.Fault) {
            identities = entries.isEmpty ? nil : try IdentityOverrides(entries)
        } catch {
            let name = entries.indices.contains(error.entry) ? entries[error.entry].name : ""
            let message =
                "correlation: identity \(error.entry + 1) (\(quotedText(name))): \(error.problem)"
            throw sections.indices.contains(error.entry)
                ? sections[error.entry].failure(message) : section.failure(message)
        }
    }
}
