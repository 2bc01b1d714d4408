// SPDX-License-Identifier: Apache-2.0
// Keys of scrape configurations that need more than a look-up.

import Base
import Scrape
import Yams

/// `scrape_protocols`: the formats to ask for, the preferred one first.
func scrapeProtocols(_ section: inout YAMLSection) throws(ConfigurationError) -> [ScrapeProtocol]? {
    guard let names = try section.strings("scrape_protocols") else { return nil }
    if names.isEmpty { throw section.failure("scrape_protocols cannot be empty") }
    var result: [ScrapeProtocol] = []
    for name in names {
        let choice = try scrapeProtocol(name, section)
        if result.contains(choice) {
            throw section.failure("duplicated protocol in scrape_protocols, got \(names)")
        }
        result.append(choice)
    }
    return result
}

func scrapeProtocol(
    _ name: String, _ section: YAMLSection
) throws(ConfigurationError) -> ScrapeProtocol {
    if let known = ScrapeProtocol(rawValue: name) { return known }
    let all = ScrapeProtocol.allCases.map(\.rawValue).joined(separator: ", ")
    if name == "PrometheusProto" {
        throw section.failure("PrometheusProto is not supported: this version reads \(all)")
    }
    throw section.failure("unknown scrape protocol \(name), supported: \(all)")
}

/// What this version cannot do may stand there as long as it is switched off.
func refuseTrue(_ section: inout YAMLSection) throws(ConfigurationError) {
    let switches = [
        "scrape_native_histograms", "always_scrape_classic_histograms",
        "convert_classic_histograms_to_nhcb",
    ]
    for key in switches where try section.bool(key) == true {
        throw section.failure(
            "\(key) is not supported: this version scrapes text, which carries classic histograms")
    }
}

extension Configuration {
    /// The text as `status/config` may show it: secrets replaced, else as it was written.
    var shownText: String { shown { $0 } ?? "" }

    /// The part of the text that configures a job, or nil when there is none.
    func shownText(ofJob name: String) -> String? {
        guard scrapes.contains(where: { $0.jobName == name }) else { return nil }
        return shown { root in
            let jobs = root.mapping?["scrape_configs"]?.sequence
            return jobs?.first { $0.mapping?["job_name"]?.string == name }
        }
    }

    private func shown(_ part: (Node) -> Node?) -> String? {
        do {
            guard let root = try Yams.compose(yaml: text) else { return text }
            guard var node = part(root) else { return nil }
            let hasSecrets = hideSecrets(&node)
            // Comments and layout stay where nothing has to be changed.
            return !hasSecrets && node == root ? text : try Yams.serialize(node: node)
        } catch {
            // It was parsed when it was loaded; rather nothing than a secret.
            return "# cannot be shown: \(error)\n"
        }
    }
}

private let secretKeys: Set = [
    "password", "credentials", "bearer_token", "client_secret", "secret_key", "secrets",
    "private_key", "token",
]

/// Replaces secrets by `<secret>`, as Prometheus does; whether there were any.
private func hideSecrets(_ node: inout Node) -> Bool {
    switch node {
    case .mapping(var mapping):
        var found = false
        for (key, value) in mapping {
            if let name = key.string, secretKeys.contains(name) {
                if let items = value.sequence {
                    mapping[key] = Node.sequence(.init(items.map { _ in Node("<secret>") }))
                } else {
                    mapping[key] = Node("<secret>")
                }
                found = true
            } else {
                var inner = value
                if hideSecrets(&inner) {
                    mapping[key] = inner
                    found = true
                }
            }
        }
        node = .mapping(mapping)
        return found
    case .sequence(let sequence):
        var items = Array(sequence)
        var found = false
        for index in items.indices where hideSecrets(&items[index]) { found = true }
        node = .sequence(.init(items))
        return found
    default: return false
    }
}
