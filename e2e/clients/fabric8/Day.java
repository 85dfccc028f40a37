import io.fabric8.kubernetes.api.model.ConfigMap;
import io.fabric8.kubernetes.api.model.ConfigMapBuilder;
import io.fabric8.kubernetes.api.model.Secret;
import io.fabric8.kubernetes.api.model.SecretBuilder;
import io.fabric8.kubernetes.api.model.ServiceAccountBuilder;
import io.fabric8.kubernetes.api.model.ServiceBuilder;
import io.fabric8.kubernetes.api.model.authorization.v1.SelfSubjectAccessReviewBuilder;
import io.fabric8.kubernetes.api.model.rbac.RoleBindingBuilder;
import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.ConfigBuilder;
import io.fabric8.kubernetes.client.KubernetesClientBuilder;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.fabric8.kubernetes.client.Watch;
import io.fabric8.kubernetes.client.Watcher;
import io.fabric8.kubernetes.client.WatcherException;
import io.fabric8.kubernetes.client.dsl.base.PatchContext;
import io.fabric8.kubernetes.client.dsl.base.PatchType;
import io.fabric8.kubernetes.client.http.AsyncBody;
import io.fabric8.kubernetes.client.http.HttpRequest;
import io.fabric8.kubernetes.client.http.HttpResponse;
import io.fabric8.kubernetes.client.http.Interceptor;
import io.fabric8.kubernetes.client.http.WebSocketUpgradeResponse;
import io.fabric8.kubernetes.client.informers.ResourceEventHandler;
import io.fabric8.kubernetes.client.informers.SharedIndexInformer;
import io.fabric8.openshift.api.model.DeploymentConfig;
import io.fabric8.openshift.api.model.DeploymentConfigBuilder;
import io.fabric8.openshift.api.model.ImageStream;
import io.fabric8.openshift.api.model.ImageStreamBuilder;
import io.fabric8.openshift.api.model.ImageStreamImport;
import io.fabric8.openshift.api.model.ImageStreamImportBuilder;
import io.fabric8.openshift.api.model.ImageStreamTag;
import io.fabric8.openshift.api.model.Project;
import io.fabric8.openshift.api.model.ProjectRequestBuilder;
import io.fabric8.openshift.api.model.Route;
import io.fabric8.openshift.api.model.RouteBuilder;
import io.fabric8.openshift.client.OpenShiftClient;
import java.io.FileInputStream;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/**
 * A day with Fabric8's OpenShift client: logs in with a password, and works with projects, streams, imports, routes,
 * deployment configurations, watches and informers over WebSocket, and apply.
 *
 * Arguments: the API's URL, the file of its authority, a user, their password, a registry with `lib/app:latest`. Prints
 * `fine` at the end; anything odd is an exception.
 */
public class Day {
    private static final String PROJECT = "fabric8";

    private final OpenShiftClient client;

    private Day(OpenShiftClient client) {
        this.client = client;
    }

    private interface Doing {
        void run() throws Exception;
    }

    private static void check(boolean holds, Object seen) {
        if (!holds) {
            throw new IllegalStateException("odd: " + seen);
        }
    }

    private static KubernetesClientException refused(int code, String reason, Doing doing) throws Exception {
        try {
            doing.run();
        } catch (KubernetesClientException refusal) {
            check(refusal.getCode() == code, refusal);
            check(refusal.getStatus() != null && reason.equals(refusal.getStatus().getReason()), refusal.getStatus());
            return refusal;
        }
        throw new IllegalStateException("not refused with " + reason);
    }

    private static Config config(String url, String authority, String user, String password) {
        return new ConfigBuilder(Config.empty())
            .withMasterUrl(url)
            .withCaCertFile(authority)
            .withUsername(user)
            .withPassword(password)
            .withRequestRetryBackoffLimit(0)
            .build();
    }

    /** How watches were answered: whether over WebSocket. */
    private static final BlockingQueue<Boolean> WATCHES = new LinkedBlockingQueue<>();

    private static OpenShiftClient open(Config config) {
        var listener = new Interceptor() {
            @Override
            public void after(HttpRequest request, HttpResponse<?> answer, AsyncBody.Consumer<List<ByteBuffer>> consumer) {
                if (request.uri().getQuery() != null && request.uri().getQuery().contains("watch=true")) {
                    WATCHES.add(answer instanceof WebSocketUpgradeResponse);
                }
            }
        };
        var builder = new KubernetesClientBuilder().withConfig(config);
        builder.withHttpClientBuilderConsumer(http -> http.addOrReplaceInterceptor("watches", listener));
        return builder.build().adapt(OpenShiftClient.class);
    }

    public static void main(String[] arguments) {
        try {
            day(arguments);
            System.out.println("fine");
            // The client's threads would go on for a while.
            System.exit(0);
        } catch (Exception odd) {
            odd.printStackTrace();
            System.exit(1);
        }
    }

    private static void day(String[] arguments) throws Exception {
        String url = arguments[0];
        String authority = arguments[1];
        try (OpenShiftClient nobody = open(config(url, authority, arguments[2], " "))) {
            nobody.projects().list();
            throw new IllegalStateException("an empty password is a password");
        } catch (KubernetesClientException refusal) {
            check(refusal.getMessage().contains("username / password are not correct"), refusal);
        }
        try (OpenShiftClient client = open(config(url, authority, arguments[2], arguments[3]))) {
            Day day = new Day(client);
            day.looksAround(arguments[2]);
            day.makesAProject();
            day.watchesAndPatches();
            day.applies();
            day.givesAccess();
            day.imports(arguments[4]);
            day.exposes();
            day.deploys();
            day.ends();
        }
        check(WATCHES.size() >= 2 && !WATCHES.contains(false), WATCHES);
    }

    private void looksAround(String user) throws Exception {
        check("1".equals(client.getKubernetesVersion().getMajor()), client.getKubernetesVersion());
        for (String group : List.of("image", "route", "apps", "project", "user")) {
            check(client.supportsOpenShiftAPIGroup(group + ".openshift.io"), group);
        }
        check(client.supports(ImageStream.class) && client.supports(Route.class), "discovery");
        check(user.equals(client.currentUser().getMetadata().getName()), client.currentUser());
        check(client.projects().list().getItems().isEmpty(), client.projects().list());
        refused(403, "Forbidden", () -> client.secrets().inNamespace("kube-system").list());
        refused(403, "Forbidden", () -> client.nodes().list());
    }

    private void makesAProject() throws Exception {
        var request = new ProjectRequestBuilder()
            .withNewMetadata().withName(PROJECT).endMetadata()
            .withDisplayName("A project")
            .withDescription("of a day")
            .build();
        client.projectrequests().create(request);
        Project project = client.projects().withName(PROJECT).get();
        check("A project".equals(project.getMetadata().getAnnotations().get("openshift.io/display-name")), project);
        check("Active".equals(project.getStatus().getPhase()), project);
        refused(409, "AlreadyExists", () -> client.projectrequests().create(request));
        check(client.serviceAccounts().inNamespace(PROJECT).withName("default").get() != null, "no default account");
    }

    /** What happened to an object. */
    private record Seen(String what, String name, Map<String, String> data) {}

    private static Seen next(BlockingQueue<Seen> seen) throws InterruptedException {
        Seen next = seen.poll(30, TimeUnit.SECONDS);
        check(next != null, "nothing is seen");
        return next;
    }

    private void watchesAndPatches() throws Exception {
        var maps = client.configMaps().inNamespace(PROJECT);
        BlockingQueue<Seen> seen = new LinkedBlockingQueue<>();
        Watcher<ConfigMap> watcher = new Watcher<>() {
            @Override
            public void eventReceived(Action action, ConfigMap map) {
                seen.add(new Seen(action.name(), map.getMetadata().getName(), map.getData()));
            }

            @Override
            public void onClose(WatcherException cause) {
                seen.add(new Seen("CLOSED: " + cause, "", Map.of()));
            }
        };
        BlockingQueue<Seen> informed = new LinkedBlockingQueue<>();
        Map<String, String> blue = Map.of("colour", "blue");
        Map<String, String> green = Map.of("colour", "green");
        try (Watch watch = maps.withName("settings").watch(watcher); SharedIndexInformer<ConfigMap> informer = maps.withName("settings").inform(inform(informed))) {
            var map = new ConfigMapBuilder().withNewMetadata().withName("settings").endMetadata().withData(blue).build();
            ConfigMap made = maps.resource(map).create();
            maps.withName("settings").edit(old -> new ConfigMapBuilder(old).withData(green).build());
            refused(409, "Conflict", () -> maps.resource(new ConfigMapBuilder(made).withData(Map.of()).build()).update());
            refused(409, "AlreadyExists", () -> maps.resource(map).create());
            check(maps.withName("settings").patch(PatchContext.of(PatchType.JSON_MERGE), "{\"data\":{\"more\":\"1\"}}").getData().size() == 2, "merge");
            check(maps.withName("settings").patch(PatchContext.of(PatchType.JSON), "[{\"op\":\"remove\",\"path\":\"/data/more\"}]").getData().equals(green), "json");
            check(maps.withName("settings").dryRun().edit(old -> new ConfigMapBuilder(old).addToData("tried", "1").build()).getData().size() == 2, "dry run");
            maps.withName("settings").delete();
            for (BlockingQueue<Seen> told : List.of(seen, informed)) {
                check(next(told).equals(new Seen("ADDED", "settings", blue)), told);
                check(next(told).equals(new Seen("MODIFIED", "settings", green)), told);
                check(next(told).data().size() == 2, told);
                check(next(told).data().equals(green), told);
                check(next(told).equals(new Seen("DELETED", "settings", green)), told);
            }
            check(informer.getStore().list().isEmpty(), informer.getStore().list());
        }
    }

    private static ResourceEventHandler<ConfigMap> inform(BlockingQueue<Seen> informed) {
        return new ResourceEventHandler<>() {
            @Override
            public void onAdd(ConfigMap map) {
                informed.add(new Seen("ADDED", map.getMetadata().getName(), map.getData()));
            }

            @Override
            public void onUpdate(ConfigMap old, ConfigMap map) {
                if (!old.getMetadata().getResourceVersion().equals(map.getMetadata().getResourceVersion())) {
                    informed.add(new Seen("MODIFIED", map.getMetadata().getName(), map.getData()));
                }
            }

            @Override
            public void onDelete(ConfigMap map, boolean unknown) {
                informed.add(new Seen("DELETED", map.getMetadata().getName(), map.getData()));
            }
        };
    }

    private void applies() throws Exception {
        var maps = client.configMaps().inNamespace(PROJECT);
        var first = new ConfigMapBuilder().withNewMetadata().withName("applied").endMetadata().addToData("a", "1").addToData("b", "2").build();
        ConfigMap applied = maps.resource(first).serverSideApply();
        var record = applied.getMetadata().getManagedFields().get(0);
        check("fabric8".equals(record.getManager()) && "Apply".equals(record.getOperation()), record);
        var second = new ConfigMapBuilder(first).withData(Map.of("a", "1")).build();
        check(maps.resource(second).serverSideApply().getData().equals(Map.of("a", "1")), "what is applied no more stays");
        var other = new ConfigMapBuilder(first).withData(Map.of("a", "9")).build();
        refused(409, "Conflict", () -> maps.resource(other).fieldManager("other").serverSideApply());
        check("9".equals(maps.resource(other).fieldManager("other").forceConflicts().serverSideApply().getData().get("a")), "forced");
    }

    private void givesAccess() throws Exception {
        client.serviceAccounts().inNamespace(PROJECT).resource(new ServiceAccountBuilder().withNewMetadata().withName("robot").endMetadata().build()).create();
        var binding = new RoleBindingBuilder()
            .withNewMetadata().withName("robots").endMetadata()
            .withNewRoleRef("rbac.authorization.k8s.io", "ClusterRole", "view")
            .addNewSubject(null, "ServiceAccount", "robot", PROJECT)
            .build();
        client.rbac().roleBindings().inNamespace(PROJECT).resource(binding).create();
        // OpenShift's own bindings are another view of the same.
        var viewers = new io.fabric8.openshift.api.model.RoleBindingBuilder()
            .withNewMetadata().withName("viewers").endMetadata()
            .withNewRoleRef().withName("view").endRoleRef()
            .addNewSubject().withKind("User").withName("bob").endSubject()
            .build();
        client.roleBindings().inNamespace(PROJECT).resource(viewers).create();
        var seen = client.rbac().roleBindings().inNamespace(PROJECT).withName("viewers").get();
        check("view".equals(seen.getRoleRef().getName()) && "bob".equals(seen.getSubjects().get(0).getName()), seen);
        for (String verb : List.of("create", "escalate")) {
            var review = new SelfSubjectAccessReviewBuilder()
                .withNewSpec()
                .withNewResourceAttributes().withNamespace(PROJECT).withVerb(verb).withGroup("rbac.authorization.k8s.io").withResource("roles").endResourceAttributes()
                .endSpec()
                .build();
            check(client.authorization().v1().selfSubjectAccessReview().create(review).getStatus().getAllowed() == verb.equals("create"), verb);
        }
        var password = new SecretBuilder().withNewMetadata().withName("password").endMetadata().addToStringData("p", "w").build();
        Secret secret = client.secrets().inNamespace(PROJECT).resource(password).create();
        check("dw==".equals(secret.getData().get("p")) && (secret.getStringData() == null || secret.getStringData().isEmpty()), secret);
        var asked = new io.fabric8.kubernetes.api.model.authentication.TokenRequestBuilder().withNewSpec().withExpirationSeconds(600L).endSpec().build();
        String token = client.serviceAccounts().inNamespace(PROJECT).withName("robot").tokenRequest(asked).getStatus().getToken();
        Config config = new ConfigBuilder(client.getConfiguration()).withUsername(null).withPassword(null).withOauthToken(token).withAutoOAuthToken(null).build();
        try (OpenShiftClient robot = open(config)) {
            check(robot.configMaps().inNamespace(PROJECT).withName("applied").get() != null, "the robot sees nothing");
            refused(403, "Forbidden", () -> robot.secrets().inNamespace(PROJECT).list());
        }
    }

    private void imports(String registry) throws Exception {
        var streams = client.imageStreams().inNamespace(PROJECT);
        ImageStream stream = new ImageStreamBuilder().withNewMetadata().withName("app").endMetadata().withNewSpec().withNewLookupPolicy(true).endSpec().build();
        stream = streams.resource(stream).create();
        check(stream.getStatus().getDockerImageRepository().endsWith("/" + PROJECT + "/app"), stream);
        ImageStreamImport imported = client.imageStreamImports().inNamespace(PROJECT).create(new ImageStreamImportBuilder()
            .withNewMetadata().withName("app").endMetadata()
            .withNewSpec()
            .withImport(true)
            .addNewImage()
            .withNewFrom().withKind("DockerImage").withName(registry + "/lib/app:latest").endFrom()
            .withNewTo("latest")
            .withNewImportPolicy().withInsecure(true).endImportPolicy()
            .endImage()
            .addNewImage()
            .withNewFrom().withKind("DockerImage").withName(registry + "/lib/none:latest").endFrom()
            .withNewTo("none")
            .withNewImportPolicy().withInsecure(true).endImportPolicy()
            .endImage()
            .endSpec()
            .build());
        var images = imported.getStatus().getImages();
        check(images.size() == 2 && "Success".equals(images.get(0).getStatus().getStatus()), imported.getStatus());
        check("Failure".equals(images.get(1).getStatus().getStatus()), images.get(1).getStatus());
        String digest = images.get(0).getImage().getMetadata().getName();
        check(digest.startsWith("sha256:"), images.get(0).getImage());
        check(digest.equals(imported.getStatus().getImport().getStatus().getTags().get(0).getItems().get(0).getImage()), imported.getStatus().getImport());
        streams.withName("app").waitUntilCondition(each -> each.getStatus().getTags().stream().anyMatch(tags -> tags.getTag().equals("latest") && tags.getItems().get(0).getImage().equals(digest)), 30, TimeUnit.SECONDS);
        ImageStreamTag tag = client.imageStreamTags().inNamespace(PROJECT).withName("app:latest").get();
        check(digest.equals(tag.getImage().getMetadata().getName()), tag);
        var image = client.imageStreamImages().inNamespace(PROJECT).withName("app@" + digest).get();
        check(digest.equals(image.getImage().getMetadata().getName()), image);
        check(client.imageStreamTags().inNamespace(PROJECT).list().getItems().stream().anyMatch(each -> each.getMetadata().getName().equals("app:latest")), "the list of tags");
        client.imageStreamTags().inNamespace(PROJECT).withName("app:latest").delete();
        check(client.imageStreamTags().inNamespace(PROJECT).withName("app:latest").get() == null, "the tag is there");
    }

    private void exposes() {
        var service = new ServiceBuilder().withNewMetadata().withName("web").endMetadata().withNewSpec().addToSelector("app", "web").addNewPort().withPort(80).endPort().endSpec().build();
        client.services().inNamespace(PROJECT).resource(service).create();
        var route = new RouteBuilder().withNewMetadata().withName("web").endMetadata().withNewSpec().withNewTo("Service", "web", null).withNewTls().withTermination("edge").endTls().endSpec().build();
        var routes = client.routes().inNamespace(PROJECT);
        routes.resource(route).create();
        Route admitted = routes.withName("web").waitUntilCondition(each -> each != null && each.getStatus() != null && each.getStatus().getIngress().stream().anyMatch(ingress -> ingress.getConditions().stream().anyMatch(condition -> condition.getType().equals("Admitted") && condition.getStatus().equals("True"))), 30, TimeUnit.SECONDS);
        check(admitted.getSpec().getHost().startsWith("web-" + PROJECT + ".") && admitted.getSpec().getTo().getWeight() == 100, admitted.getSpec());
        routes.withName("web").edit(each -> new RouteBuilder(each).editSpec().withPath("/x").endSpec().build());
        check("/x".equals(routes.withName("web").get().getSpec().getPath()), routes.withName("web").get());
    }

    private void deploys() {
        var configs = client.deploymentConfigs().inNamespace(PROJECT);
        var config = new DeploymentConfigBuilder()
            .withNewMetadata().withName("web").endMetadata()
            .withNewSpec()
            .withReplicas(0)
            .addToSelector("app", "web")
            .withNewTemplate()
            .withNewMetadata().addToLabels("app", "web").endMetadata()
            .withNewSpec().addNewContainer().withName("web").withImage("example.com/web:1").endContainer().endSpec()
            .endTemplate()
            .endSpec()
            .build();
        configs.resource(config).create();
        DeploymentConfig first = configs.withName("web").waitUntilCondition(each -> rolledOut(each, 1), 30, TimeUnit.SECONDS);
        check(first.getSpec().getTriggers().get(0).getType().equals("ConfigChange"), first.getSpec());
        check("Complete".equals(client.replicationControllers().inNamespace(PROJECT).withName("web-1").get().getMetadata().getAnnotations().get("openshift.io/deployment.phase")), "web-1 is not complete");
        configs.withName("web").edit(each -> new DeploymentConfigBuilder(each).editSpec().editTemplate().editSpec().editFirstContainer().withImage("example.com/web:2").endContainer().endSpec().endTemplate().endSpec().build());
        configs.withName("web").waitUntilCondition(each -> rolledOut(each, 2), 30, TimeUnit.SECONDS);
        check(client.replicationControllers().inNamespace(PROJECT).withName("web-2").get() != null, "web-2 is not there");
        configs.withName("web").scale(0);
        configs.withName("web").delete();
        client.replicationControllers().inNamespace(PROJECT).withName("web-1").waitUntilCondition(each -> each == null, 30, TimeUnit.SECONDS);
    }

    /** What `oc rollout status` waits for; until then the status changes, and an edit may meet a newer version (409). */
    private static boolean rolledOut(DeploymentConfig config, long version) {
        var status = config == null ? null : config.getStatus();
        return status != null && status.getLatestVersion() == version
            && config.getMetadata().getGeneration().equals(status.getObservedGeneration())
            && status.getConditions().stream().anyMatch(each -> "NewReplicationControllerAvailable".equals(each.getReason()));
    }

    private void ends() throws Exception {
        var loaded = client.load(new FileInputStream("more.yaml")).inNamespace(PROJECT);
        check(loaded.create().size() == 2, "two objects");
        check(client.configMaps().inNamespace(PROJECT).withLabel("more", "yes").list().getItems().size() == 1, "labels");
        loaded.delete();
        check(client.imageStreams().inNamespace(PROJECT).withName("more").get() == null, "the stream is there");
        client.projects().withName(PROJECT).delete();
        client.projects().withName(PROJECT).informOnCondition(List::isEmpty).get(30, TimeUnit.SECONDS);
    }
}
