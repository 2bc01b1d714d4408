// SPDX-License-Identifier: Apache-2.0
// Configuration files of the public corpus.

import FoundationEssentials
import TestKit
import Testing

@testable import Server

private struct BadFile: Decodable {
    struct Texts: Decodable {
        var all: [String]
        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if let one = try? container.decode(String.self) {
                all = [one]
            } else {
                all = try container.decode([String].self)
            }
        }
    }
    var file: String
    var errorContains: Texts
}

/// Files that are refused with another text than upstream's, and why that text is as good.
private let otherTexts: [String: (text: String, why: String)] = [
    "unknown_attr.bad.yml": (
        "field consult_sd_configs not found in scrape_configs: did you mean consul_sd_configs?",
        "names the section instead of a Go type, and the key that was meant"
    ),
    "unknown_global_attr.bad.yml": (
        "field nonexistent_field not found in global",
        "names the section instead of a Go type"
    ),
    "section_key_dup.bad.yml": (
        "field scrape_configs already set, and set again below",
        "leaves out the Go type; the line is that of the first one"
    ),
    "scrape_config_files_fallback_scrape_protocol2.bad.yml": (
        "fallback_scrape_protocol must be text", "names the key and what it must be"
    ),
]

/// Files of which upstream takes one that names discoveries which are not there.
private func isRefusedForDiscoveryAlone(_ error: String) -> Bool {
    let parts = error.split(separator: "; line ")
    return parts.allSatisfy {
        $0.contains("discovery is not supported; file and http discovery can take its place")
    }
}

private let folder = Corpora.folder.map { $0 + "/config/prometheus" }

private func names(_ suffix: String) throws -> [String] {
    guard let folder else { return [] }
    return try FileManager.default.contentsOfDirectory(atPath: folder).filter {
        $0.hasSuffix(suffix)
    }.sorted()
}

@Test func goodFilesLoad() throws {
    guard let folder else { return }
    // Included by others, or without a verdict in the file's name.
    let plain = [
        "otlp_empty.yml", "scrape_config_default_validation_mode.yml",
        "scrape_config_global_validation_mode.yml", "scrape_config_local_infer_escaping.yml",
        "scrape_config_local_global_validation_mode.yml",
        "scrape_config_local_validation_mode.yml",
    ]
    var refused: [String] = []
    for name in try names(".good.yml") + plain {
        do { _ = try loadConfiguration(folder + "/" + name) } catch {
            if isRefusedForDiscoveryAlone("\(error)") {
                refused.append(name)
            } else {
                Issue.record("\(name): \(error)")
            }
        }
    }
    #expect(
        refused == ["conf.good.yml", "roundtrip.good.yml", "scrape_config_files_glob.good.yml"])
}

@Test func badFilesAreRefusedForTheirFault() throws {
    guard let folder, let bytes = Corpora.file("config/prometheus-errors.json") else { return }
    let cases = try JSONDecoder().decode([BadFile].self, from: Data(bytes))
    var faults: [String] = []
    for test in cases {
        do {
            _ = try loadConfiguration(folder + "/" + test.file)
            faults.append("\(test.file): accepted")
        } catch {
            let own = otherTexts[test.file].map { [$0.text] }
            let expected = own ?? test.errorContains.all
            for text in expected {
                // Ours has the line between the file and the fault.
                let path = "parsing YAML file testdata/"
                let fault =
                    text.hasPrefix(path)
                    ? String(
                        text[(text.firstRange(of: ".yml: ")?.upperBound ?? text.startIndex)...])
                    : text
                if !"\(error)".contains(fault) {
                    faults.append("\(test.file): \(error)\n    expected \(fault)")
                }
            }
        }
    }
    #expect(faults.isEmpty, "\(faults.joined(separator: "\n"))")
    #expect(cases.count > 100)
    let listed = Set(cases.map(\.file))
    for name in try names(".bad.yml") + ["config_with_deprecated_am_api_config.yml"]
    where !listed.contains(name) {
        #expect(throws: (any Error).self, "\(name)") {
            _ = try loadConfiguration(folder + "/" + name)
        }
    }
    for name in try names(".incompatible.yml") {
        do {
            _ = try loadConfiguration(folder + "/" + name)
            Issue.record("\(name) was accepted")
        } catch { #expect("\(error)".contains("is not allowed when UTF8 is disabled")) }
    }
}

/// Configurations whose targets are URLs, which relabelling makes parameters of a prober.
@Test func targetsThatAreRelabelledMayBeURLs() throws {
    guard let folder = Corpora.folder.map({ $0 + "/config/promtool/" }) else { return }
    for kind in ["scrape", "alert"] {
        let name = "url_in_\(kind)_targetgroup_with_relabel_config"
        #expect(try loadConfiguration(folder + name + ".good.yml").uselessTargets.isEmpty)
        // Loads too; what relabelling leaves is no address, which the check tells.
        let faults = try loadConfiguration(folder + name + ".bad.yml").uselessTargets
        #expect(faults.count == 1 && faults[0].contains("is not a valid hostname"), "\(faults)")
    }
    #expect {
        _ = try Configuration.parse(
            "scrape_configs: [{job_name: a, static_configs: [{targets: ['http://bad']}]}]")
    } throws: {
        "\($0)".contains("\"http://bad\" is not a valid hostname")
    }
}

@Test func examplesLoad() throws {
    guard let folder = Corpora.folder.map({ $0 + "/config/examples/" }) else { return }
    var refused: [String] = []
    let files = Corpora.names(under: "config/examples").filter {
        // The others configure promtool, the listener, and a cluster's objects.
        $0.hasPrefix("prometheus") && $0.hasSuffix(".yml")
    }
    for name in files {
        do { _ = try loadConfiguration(folder + name) } catch {
            let text = "\(error)"
            if isRefusedForDiscoveryAlone(text) || text.contains("only client_credentials is") {
                refused.append(name)
            } else {
                Issue.record("\(name): \(error)")
            }
        }
    }
    // Each is about a kind of discovery that is not there; stackit's also asks for a grant by JWT.
    let kinds = [
        "digitalocean", "dockerswarm", "eureka", "hetzner", "ionos", "linode", "marathon", "nomad",
        "outscale", "ovhcloud", "puppetdb", "scaleway", "stackit", "uyuni", "vultr",
    ]
    #expect(refused == kinds.map { "prometheus-\($0).yml" })
    #expect(files.count > refused.count)
}

@Test func environmentIsFilledIntoExternalLabels() throws {
    guard let folder else { return }
    let data = try #require(
        FileManager.default.contents(atPath: folder + "/external_labels.good.yml"))
    let text = String(decoding: data, as: UTF8.self)
    func labels(_ environment: [String: String]) throws -> [String: String] {
        let configuration = try Configuration.parse(text, environment: environment)
        return Dictionary(
            uniqueKeysWithValues: configuration.externalLabels.map { ($0.name, $0.value) })
    }
    #expect(
        try labels([:])
            == ["bar": "foo", "baz": "foobar", "qux": "foo${TEST}", "xyz": "foo$bar"])
    let with = try labels(["TEST": "TestValue"])
    #expect(with["foo"] == "TestValue" && with["baz"] == "fooTestValuebar")
}
