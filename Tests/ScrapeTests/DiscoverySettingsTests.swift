// SPDX-License-Identifier: Apache-2.0
// Which settings are refused, and with which words.

import Testing

@testable import Scrape

private func refusal(_ validate: () throws -> Void) -> String? {
    do { try validate() } catch { return "\(error)" }
    return nil
}

// A second star is one of the characters that the first may be followed by, as upstream has it.
@Test(arguments: [
    ("a.json", true), ("dir/*.yml", true), ("dir/tg_*.YAML", true), ("a*b*.json", true),
    ("d*/a.json", false), ("a.txt", false), ("a.json.bak", false), ("*.json", true),
])
func filePatterns(name: String, isGood: Bool) {
    var settings = FileDiscoverySettings()
    settings.files = [name]
    #expect((refusal { try settings.validate() } == nil) == isGood)
}

@Test func emptySettingsAreRefused() {
    #expect(
        refusal { try FileDiscoverySettings().validate() }
            == "file service discovery config must contain at least one path name")
    #expect(refusal { try HTTPDiscoverySettings().validate() } == "URL is missing")
    #expect(
        refusal { try DNSDiscoverySettings().validate() }
            == "DNS-SD config must contain at least one SRV record name")
    #expect(refusal { try DockerDiscoverySettings().validate() } == "host missing")
    #expect(refusal { try EC2DiscoverySettings().validate() } == nil)
    #expect(
        refusal { try KubernetesDiscoverySettings().validate(hasClientOptions: false) }
            == "role missing (one of: pod, service, endpoints, endpointslice, node, ingress)")
}

@Test(arguments: [
    ("http://h/p", nil), ("https://h:1", nil), ("h/p", "URL scheme must be 'http' or 'https'"),
    ("ftp://h", "URL scheme must be 'http' or 'https'"), ("http://", "host is missing in URL"),
    ("http:///p", "host is missing in URL"),
])
func httpAddresses(url: String, expected: String?) {
    var settings = HTTPDiscoverySettings()
    settings.url = url
    #expect(refusal { try settings.validate() } == expected)
}

@Test func dnsSettings() {
    var settings = DNSDiscoverySettings()
    settings.names = ["a"]
    #expect(refusal { try settings.validate() } == nil)
    settings.type = "aaaa"
    #expect(
        refusal { try settings.validate() }
            == "a port is required in DNS-SD configs for all record types except SRV")
    settings.port = 9100
    #expect(refusal { try settings.validate() } == nil)
    settings.type = "TXT"
    #expect(refusal { try settings.validate() } == "invalid DNS-SD records type TXT")
}

@Test func consulSettings() {
    var settings = ConsulDiscoverySettings()
    func check(_ user: Bool, _ basic: Bool, _ other: Bool) -> String? {
        refusal {
            try settings.validate(hasUser: user, hasBasicAuth: basic, hasAuthorization: other)
        }
    }
    #expect(check(true, false, false) == nil)
    #expect(check(true, true, false)?.hasPrefix("at most one of consul SD configuration") == true)
    #expect(check(false, false, true) == nil)
    settings.token = "t"
    #expect(check(false, false, true)?.hasPrefix("at most one of consul SD token") == true)
    settings.server = " "
    #expect(check(false, false, false)?.contains("requires a server address") == true)
}

@Test func kubernetesSettings() {
    #expect(
        refusal { _ = try KubernetesDiscoverySettings.Role(named: "vacation") }
            == "unknown Kubernetes SD role \"vacation\"")
    var settings = KubernetesDiscoverySettings()
    settings.role = .endpoints
    #expect(refusal { try settings.validate(hasClientOptions: false) } == nil)
    #expect(
        refusal { try settings.validate(hasClientOptions: true) }?
            .contains("please provide the 'api_server' URL explicitly") == true)
    settings.selectors = [.init(role: .node)]
    #expect(
        refusal { try settings.validate(hasClientOptions: false) }
            == "endpoints role supports only pod, service, endpoints selectors")
    settings.selectors = [.init(role: .pod), .init(role: .pod)]
    #expect(
        refusal { try settings.validate(hasClientOptions: false) }
            == "duplicated selector role: pod")
    settings.selectors = [.init(role: .pod, field: "a.b-c")]
    #expect(
        refusal { try settings.validate(hasClientOptions: false) }
            == "invalid selector: 'a.b-c'; can't understand 'a.b-c'")
}

@Test(arguments: [
    ("", true), ("a=b", true), ("a==b,c!=d", true), ("a in (b, c),!d,e", true),
    ("a notin (b)", true), ("a=", true), ("x/y.z=1", true), ("a>1", true), ("a>b", false),
    ("a b", false), ("a in b", false), ("a in (b", false), (",", false), ("a=b=c", false),
    ("-a=b", false), ("a=b,", false), ("a/b/c", false),
])
func labelSelectors(selector: String, isGood: Bool) {
    #expect((refusal { try validateLabelSelector(selector) } == nil) == isGood)
}

@Test(arguments: [
    ("", true), ("a=b", true), ("a.b!=c,d==e", true), ("a=x\\,y", true), ("a", false),
    ("a=b,c", false), ("=b", false),
])
func fieldSelectors(selector: String, isGood: Bool) {
    #expect((refusal { try validateFieldSelector(selector) } == nil) == isGood)
}

@Test func relativePathsAreTakenFromTheFolderOfTheFile() {
    var file = FileDiscoverySettings()
    file.files = ["a.json", "/b.json"]
    var expected = file
    expected.files = ["/etc/tern/a.json", "/b.json"]
    let resolved = DiscoveryConfiguration(.file(file)).resolved(in: "/etc/tern")
    #expect(resolved == DiscoveryConfiguration(.file(expected)))
}
