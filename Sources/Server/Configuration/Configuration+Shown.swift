// SPDX-License-Identifier: Apache-2.0
// A configuration as others may see it.

import Scrape
import Yams

extension Configuration {
    /// The text as `status/config` may show it: secrets replaced, else as it was written.
    var shownText: String { shown(text) { $0 } ?? "" }

    /// The part of the text that configures a job, or nil when there is none.
    func shownText(ofJob name: String) -> String? {
        guard scrapes.contains(where: { $0.jobName == name }) else { return nil }
        for text in [text] + scrapeFileTexts {
            let found = shown(text) { root in
                let jobs = root.mapping?["scrape_configs"]?.sequence
                return jobs?.first { $0.mapping?["job_name"]?.string == name }
            }
            if let found { return found }
        }
        return nil
    }

    private func shown(_ text: String, _ part: (Node) -> Node?) -> String? {
        do {
            var documents = try Yams.compose_all(yaml: text)
            guard let root = documents.next() else {
                if let error = documents.error { throw error }
                return text
            }
            // Nobody looks for secrets in further documents, which count for nothing.
            let isWhole = documents.next() == nil && documents.error == nil
            guard var node = part(root) else { return nil }
            let hasSecrets = hideSecrets(&node)
            // Comments and layout stay where nothing has to be changed.
            return !hasSecrets && isWhole && node == root ? text : try Yams.serialize(node: node)
        } catch {
            // It was parsed when it was loaded; rather nothing than a secret.
            return "# cannot be shown: \(error)\n"
        }
    }
}

private let secretKeys: Set = [
    "password", "credentials", "bearer_token", "client_secret", "secret_key", "secrets",
    "private_key", "token", "auth_token", "application_secret", "consumer_key",
    "service_account_key", "key_passphrase", "proxy_connect_header",
]

/// Replaces secrets by `<secret>`, as Prometheus does; whether there were any.
private func hideSecrets(_ node: inout Node) -> Bool {
    switch node {
    case .mapping(var mapping):
        var found = false
        for (key, value) in mapping {
            let isKey = key.string == "key" && value.string?.contains("PRIVATE KEY") == true
            if let name = key.string, isKey || secretKeys.contains(name) {
                if let inner = value.mapping {
                    mapping[key] = Node.mapping(
                        .init(inner.map { ($0.key, Node("<secret>")) }))
                } else if let items = value.sequence {
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
    case .scalar(let scalar):
        // As Go shows a URL that holds a password.
        let shown = withoutPassword(scalar.string)
        guard scalar.string.contains("://"), scalar.string.contains("@"), shown != scalar.string
        else { return false }
        node = Node(shown)
        return true
    default: return false
    }
}
