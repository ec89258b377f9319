"""The Kubernetes manifests (S3.15): Kubernetes' schemas, what they point at, and how they are locked in."""

import re
import shutil
import subprocess

import kubernetes_validate
import pytest
import yaml

from files import KUBERNETES, kubernetes_objects, pods, text, variables

OBJECTS = list(kubernetes_objects())
PODS = [pytest.param(document, spec, id=file) for file, document, spec in pods()]
WORKERS = [pytest.param(document, spec, id=file) for file, document, spec in pods() if file.startswith("worker-")]


def identity(document):
    return document["kind"], document["metadata"]["name"]


def of_kind(kind):
    return [document for _, document in OBJECTS if document["kind"] == kind]


@pytest.mark.parametrize("version", ["1.28", "1.32", "1.37"])
def test_kubernetes_takes_them(version):
    for _, document in OBJECTS:
        kubernetes_validate.validate(document, version, strict=True)


def test_kubernetes_would_refuse_a_mistake():
    document = yaml.safe_load(text("deploy/k8s/base/worker-pages.yaml").replace("readOnlyRootFilesystem", "readOnlyRoot").split("\n---\n")[0])
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(document, "1.32", strict=True)


@pytest.mark.parametrize("folder", ["base", "keda"])
def test_kustomize_makes_what_the_files_say(folder, tmp_path):
    if not shutil.which("kubectl"):
        pytest.skip("kubectl is not installed; the other tests read the same files")
    copy = shutil.copytree(KUBERNETES, tmp_path / "k8s")
    for example in (copy / "base").glob("*.env.example"):
        example.rename(example.with_suffix(""))
    made = subprocess.run(["kubectl", "kustomize", copy / folder], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    made = {identity(document): document for document in yaml.safe_load_all(made.stdout)}
    assert {identity(document) for _, document in OBJECTS} <= set(made)
    assert {name.rpartition("-")[0] for kind, name in made if kind in ("ConfigMap", "Secret")} == {"celeriac", "celeriac-serve"}
    workers = [document for (kind, name), document in made.items() if kind == "Deployment" and "worker" in name]
    assert all(("replicas" in worker["spec"]) == (folder == "base") for worker in workers), "with KEDA, KEDA says how many"
    for worker in workers:
        container = worker["spec"]["template"]["spec"]["containers"][0]
        assert container["image"] != "celeriac" and container["startupProbe"]["exec"] == container["readinessProbe"]["exec"]
        assert container["startupProbe"]["periodSeconds"] < container["readinessProbe"]["periodSeconds"]


def test_several_services_share_what_one_alone_would_keep_to_itself():
    (serve,) = [document for document in of_kind("Deployment") if document["metadata"]["name"] == "celeriac-serve"]
    assert serve["spec"]["replicas"] > 1
    assert {"CELERIAC_SESSION_SECRET", "DATABASE_URL"} <= set(variables(text("deploy/k8s/base/secret-serve.env.example")))


def test_every_manifest_is_in_the_kustomization():
    for folder in ("base", "keda"):
        listed = {name for name, _ in kubernetes_objects(folder)} | {"kustomization.yaml"}
        assert listed == {path.name for path in (KUBERNETES / folder).glob("*.yaml")}


@pytest.mark.parametrize("document, spec", PODS)
def test_pods_are_locked_in(document, spec):
    context = spec["securityContext"]
    assert context["runAsNonRoot"] and context["runAsUser"] > 0 and context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    for container in spec["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
        }
        assert {"cpu", "memory"} <= set(container["resources"]["limits"]) & set(container["resources"]["requests"])


@pytest.mark.parametrize("document, spec", PODS)
def test_no_service_writes_into_the_environment(document, spec):
    """A service of the name redis would set REDIS_PORT to tcp://10.0.0.1:6379."""
    assert spec["enableServiceLinks"] is False


@pytest.mark.parametrize("document, spec", PODS)
def test_what_is_written_has_a_place(document, spec):
    volumes = {volume["name"] for volume in spec.get("volumes", [])}
    volumes |= {claim["metadata"]["name"] for claim in document["spec"].get("volumeClaimTemplates", [])}
    for container in spec["containers"]:
        mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        assert "/data" in mounts and set(mounts.values()) <= volumes


@pytest.mark.parametrize("document, spec", PODS)
def test_configuration_and_secrets_are_made(document, spec):
    made = yaml.safe_load(text("deploy/k8s/base/kustomization.yaml"))
    configs = {generator["name"] for generator in made["configMapGenerator"]}
    secrets = {generator["name"]: variables(text(f"deploy/k8s/base/{generator['envs'][0]}.example")) for generator in made["secretGenerator"]}
    for container in spec["containers"]:
        for source in container.get("envFrom", []):
            assert source.get("configMapRef", {}).get("name") in configs | {None}
            assert source.get("secretRef", {}).get("name") in set(secrets) | {None}
        for var in container.get("env", []):
            key = var.get("valueFrom", {}).get("secretKeyRef")
            assert not key or key["key"] in secrets[key["name"]]


@pytest.mark.parametrize("document, spec", WORKERS)
def test_a_worker_is_asked_whether_it_works_and_only_restarted_when_its_process_hangs(document, spec):
    container = spec["containers"][0]
    for probe in ("startupProbe", "readinessProbe"):
        assert "celeriac healthcheck --worker" in container[probe]["exec"]["command"][2]
    assert container["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "metrics"}, "a restart does not bring Redis back"
    port = container["args"][container["args"].index("--metrics-addr") + 1].rpartition(":")[2]
    assert container["ports"] == [{"name": "metrics", "containerPort": int(port)}]
    assert document["spec"]["template"]["metadata"]["annotations"]["prometheus.io/port"] == port


def test_workers_differ_in_what_they_run_and_in_nothing_else():
    def shape(document, spec):
        container = dict(spec["containers"][0])
        for differs in ("args", "resources", "startupProbe", "readinessProbe"):
            container.pop(differs)
        return {**spec, "containers": [container]}

    first, *others = [shape(*parameter.values) for parameter in WORKERS]
    assert len(others) == 4 and all(other == first for other in others)


def labels_fit(selector, document):
    labels = document["spec"]["template"]["metadata"]["labels"]
    return selector.items() <= labels.items()


def test_selectors_find_their_pods_and_nobody_elses():
    runs = [document for _, document, _ in pods()]
    for document in runs:
        assert labels_fit(document["spec"]["selector"]["matchLabels"], document)
    for budget in of_kind("PodDisruptionBudget"):
        found = [document for document in runs if labels_fit(budget["spec"]["selector"]["matchLabels"], document)]
        assert [document["metadata"]["name"] for document in found] == [budget["metadata"]["name"]]
    for service in of_kind("Service"):
        assert sum(labels_fit(service["spec"]["selector"], document) for document in runs) == 1


def test_each_deployment_has_a_disruption_budget_that_lets_nodes_be_drained():
    budgets = {budget["metadata"]["name"]: budget["spec"] for budget in of_kind("PodDisruptionBudget")}
    deployments = {document["metadata"]["name"]: document["spec"]["replicas"] for document in of_kind("Deployment")}
    assert set(budgets) == set(deployments)
    for name, budget in budgets.items():
        assert budget.get("maxUnavailable", 0) > 0 or budget["minAvailable"] < deployments[name], name


def test_redis_keeps_everything():
    redis = of_kind("StatefulSet")[0]
    args = " ".join(redis["spec"]["template"]["spec"]["containers"][0]["args"])
    assert "--appendonly yes" in args and "--maxmemory-policy noeviction" in args and "--requirepass $(REDIS_PASSWORD)" in args
    assert redis["spec"]["volumeClaimTemplates"]


def test_keda_scales_each_worker_by_its_own_queue():
    scaled = [document for _, document in kubernetes_objects("keda")]
    workers = {document["metadata"]["name"]: spec["containers"][0]["args"] for document, spec in (w.values for w in WORKERS)}
    assert {document["spec"]["scaleTargetRef"]["name"] for document in scaled} == set(workers)
    for document in scaled:
        args = workers[document["spec"]["scaleTargetRef"]["name"]]
        trigger, = document["spec"]["triggers"]
        assert trigger["type"] == "prometheus"
        assert re.fullmatch(r'max\(celery_queue_length\{queue_name="(\w+)"\}\)', trigger["metadata"]["query"])[1] == args[args.index("-Q") + 1]
        assert 1 <= document["spec"]["minReplicaCount"] < document["spec"]["maxReplicaCount"]
        assert all(isinstance(value, str) for value in trigger["metadata"].values())
