// SPDX-License-Identifier: Apache-2.0
// Falco, Kubernetes' audit and Trivy.

import Base
import Telemetry
import TestKit
import Testing

@testable import Wire

private let arrival: Int64 = 1_700_000_000_000_000_000

private func falco(_ bytes: [UInt8]) throws -> DecodedLogs {
    try bytes.withUnsafeBytes {
        try FalcoEvents.decode($0, FalcoEvents.mapping, receivedNanos: arrival)
    }
}
private func audit(_ bytes: [UInt8]) throws -> DecodedLogs {
    try bytes.withUnsafeBytes {
        try AuditEvents.decode($0, AuditEvents.mapping, receivedNanos: arrival)
    }
}
private func trivy(_ bytes: [UInt8]) throws -> DecodedLogs {
    try bytes.withUnsafeBytes {
        try TrivyReport.decode($0, TrivyReport.mapping, receivedNanos: arrival)
    }
}

private let alert = """
    {"hostname":"n1","output":"Shell in a container","priority":"Warning","rule":"Terminal shell",
     "source":"syscall","tags":["shell"],"time":"2023-11-14T22:13:20.5Z",
     "output_fields":{"proc.aname[2]":"runc","evt.time":1700000000500000000,"user.uid":0,"x":null}}
    """
private let event = #"""
    {"kind": "Event", "auditID": "7", "stage":"ResponseComplete", "verb":"delete",
     "user":{"username":"eve","groups":["a"]}, "objectRef":{"resource":"pods","namespace":"shop","name":"p \" 1"},
     "responseStatus":{"code":403}, "requestReceivedTimestamp":"2023-11-14T22:13:20.1Z","stageTimestamp":"2023-11-14T22:13:20.2Z"}
    """#
private let report = """
    {"SchemaVersion":2,"Results":[
       {"Target":"app (alpine)","Class":"os-pkgs","Vulnerabilities":[{"VulnerabilityID":"CVE-1","Severity":"HIGH","PkgName":"tls"}]},
       {"Target":"main.tf","Misconfigurations":[{"ID":"AVD-1","Severity":"LOW","Status":"FAIL"}],"Secrets":[{"RuleID":"key","Severity":"CRITICAL"}]}],
     "ArtifactName":"app:1","CreatedAt":"2023-11-14T22:13:19Z"}
    """

@Suite struct SecurityEventTests {
    @Test func falcoAlerts() throws {
        let want =
            #"{hostname="n1", job="falco", service_name="falco", source="syscall"} 1700000000500000000 "#
            + #"Shell in a container {detected_level="warn", evt_time="1700000000500000000", priority="Warning", "#
            + #"proc_aname_2_="runc", rule="Terminal shell", tags="[\"shell\"]", user_uid="0"}"#
        #expect(describe(try falco(Array(alert.utf8)).batch) == [want])
        let line = alert.replacing("\n", with: " ")
        let several = try falco(Array("\(line)\n\nbad\n\(line)".utf8))
        #expect(several.batch.rowCount == 2 && several.rejectedRows == 1)
    }

    @Test func auditEvents() throws {
        let line =
            #"{"kind":"Event","auditID":"7","stage":"ResponseComplete","verb":"delete","#
            + #""user":{"username":"eve","groups":["a"]},"objectRef":{"resource":"pods","namespace":"shop","#
            + #""name":"p \" 1"},"responseStatus":{"code":403},"requestReceivedTimestamp":"#
            + #""2023-11-14T22:13:20.1Z","stageTimestamp":"2023-11-14T22:13:20.2Z"}"#
        let want =
            #"{job="kubernetes-audit", namespace="shop", service_name="kubernetes-audit"} "#
            + "1700000000200000000 \(line) "
            + #"{audit_id="7", code="403", detected_level="warn", name="p \" 1", resource="pods", "#
            + #"stage="ResponseComplete", user="eve", verb="delete"}"#
        #expect(describe(try audit(Array(event.utf8)).batch) == [want])
        let list = #"{"kind":"EventList","items":[\#(event),\#(event)]}"#
        #expect(describe(try audit(Array(list.utf8)).batch) == [want, want])
        #expect(describe(try audit(Array("\(line)\n\(line)\n{}\n".utf8)).batch) == [want, want])
        #expect(try audit(Array("{}".utf8)).rejectedRows == 1)
    }

    @Test func trivyFindings() throws {
        let got = describe(try trivy(Array(report.utf8)).batch)
        let stream = #"{artifact="app:1", job="trivy", service_name="trivy"} 1699999999000000000 "#
        #expect(
            got == [
                stream + #"{"VulnerabilityID":"CVE-1","Severity":"HIGH","PkgName":"tls"} "#
                    + #"{class="os-pkgs", detected_level="error", id="CVE-1", package="tls", severity="HIGH", target="app (alpine)"}"#,
                stream + #"{"ID":"AVD-1","Severity":"LOW","Status":"FAIL"} "#
                    + #"{detected_level="info", id="AVD-1", severity="LOW", status="FAIL", target="main.tf"}"#,
                stream + #"{"RuleID":"key","Severity":"CRITICAL"} "#
                    + #"{detected_level="critical", id="key", severity="CRITICAL", target="main.tf"}"#,
            ])
        #expect(throws: MalformedJSON.self) { try trivy(Array("{}".utf8)) }
    }

    @Test func publicEvents() throws {
        if let alerts = Corpora.file("security-events/falco/falco.ndjson") {
            let got = try falco(alerts)
            #expect(got.rejectedRows == 0 && got.batch.rowCount == 8, "\(got.message)")
        }
        for name in Corpora.names(under: "security-events/trivy") where name.hasSuffix(".json") {
            guard let bytes = Corpora.file("security-events/trivy/" + name) else { continue }
            let got = try trivy(bytes)
            #expect(got.rejectedRows == 0 && got.batch.rowCount > 0, "\(name): \(got.message)")
        }
        if let log = Corpora.file("security-events/kubernetes-audit/audit.log") {
            let got = try audit(log)
            // Two are wrapped by cloud providers, which have doors of their own.
            #expect(got.batch.rowCount == 2 && got.rejectedRows == 2, "\(got.message)")
        }
    }

    @Test func damageNeverCrashes() {
        var rows = 0
        for seed in [alert, event, #"{"items":[\#(event)]}"#, report] {
            mutate(Array(seed.utf8), rounds: 2000) { bytes in
                rows += (try? falco(bytes))?.batch.rowCount ?? 0
                rows += (try? audit(bytes))?.batch.rowCount ?? 0
                rows += (try? trivy(bytes))?.batch.rowCount ?? 0
            }
        }
        #expect(rows > 500)
    }
}
