BEGIN TRANSACTION;
CREATE TABLE "auth_group" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "name" varchar(150) NOT NULL UNIQUE);
CREATE TABLE "auth_group_permissions" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "group_id" integer NOT NULL REFERENCES "auth_group" ("id") DEFERRABLE INITIALLY DEFERRED, "permission_id" integer NOT NULL REFERENCES "auth_permission" ("id") DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE "auth_permission" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "content_type_id" integer NOT NULL REFERENCES "django_content_type" ("id") DEFERRABLE INITIALLY DEFERRED, "codename" varchar(100) NOT NULL, "name" varchar(255) NOT NULL);
INSERT INTO "auth_permission" VALUES(1,2,'add_logentry','Can add log entry');
INSERT INTO "auth_permission" VALUES(2,2,'change_logentry','Can change log entry');
INSERT INTO "auth_permission" VALUES(3,2,'delete_logentry','Can delete log entry');
INSERT INTO "auth_permission" VALUES(4,2,'view_logentry','Can view log entry');
INSERT INTO "auth_permission" VALUES(5,3,'add_permission','Can add permission');
INSERT INTO "auth_permission" VALUES(6,3,'change_permission','Can change permission');
INSERT INTO "auth_permission" VALUES(7,3,'delete_permission','Can delete permission');
INSERT INTO "auth_permission" VALUES(8,3,'view_permission','Can view permission');
INSERT INTO "auth_permission" VALUES(9,4,'add_group','Can add group');
INSERT INTO "auth_permission" VALUES(10,4,'change_group','Can change group');
INSERT INTO "auth_permission" VALUES(11,4,'delete_group','Can delete group');
INSERT INTO "auth_permission" VALUES(12,4,'view_group','Can view group');
INSERT INTO "auth_permission" VALUES(13,5,'add_user','Can add user');
INSERT INTO "auth_permission" VALUES(14,5,'change_user','Can change user');
INSERT INTO "auth_permission" VALUES(15,5,'delete_user','Can delete user');
INSERT INTO "auth_permission" VALUES(16,5,'view_user','Can view user');
INSERT INTO "auth_permission" VALUES(17,6,'add_contenttype','Can add content type');
INSERT INTO "auth_permission" VALUES(18,6,'change_contenttype','Can change content type');
INSERT INTO "auth_permission" VALUES(19,6,'delete_contenttype','Can delete content type');
INSERT INTO "auth_permission" VALUES(20,6,'view_contenttype','Can view content type');
INSERT INTO "auth_permission" VALUES(21,7,'add_session','Can add session');
INSERT INTO "auth_permission" VALUES(22,7,'change_session','Can change session');
INSERT INTO "auth_permission" VALUES(23,7,'delete_session','Can delete session');
INSERT INTO "auth_permission" VALUES(24,7,'view_session','Can view session');
INSERT INTO "auth_permission" VALUES(25,8,'add_feed','Can add feed');
INSERT INTO "auth_permission" VALUES(26,8,'change_feed','Can change feed');
INSERT INTO "auth_permission" VALUES(27,8,'delete_feed','Can delete feed');
INSERT INTO "auth_permission" VALUES(28,8,'view_feed','Can view feed');
INSERT INTO "auth_permission" VALUES(29,9,'add_entry','Can add entry');
INSERT INTO "auth_permission" VALUES(30,9,'change_entry','Can change entry');
INSERT INTO "auth_permission" VALUES(31,9,'delete_entry','Can delete entry');
INSERT INTO "auth_permission" VALUES(32,9,'view_entry','Can view entry');
INSERT INTO "auth_permission" VALUES(33,10,'add_scheduledtask','Can add schedule');
INSERT INTO "auth_permission" VALUES(34,10,'change_scheduledtask','Can change schedule');
INSERT INTO "auth_permission" VALUES(35,10,'delete_scheduledtask','Can delete schedule');
INSERT INTO "auth_permission" VALUES(36,10,'view_scheduledtask','Can view schedule');
INSERT INTO "auth_permission" VALUES(37,11,'add_task','Can add background call');
INSERT INTO "auth_permission" VALUES(38,11,'change_task','Can change background call');
INSERT INTO "auth_permission" VALUES(39,11,'delete_task','Can delete background call');
INSERT INTO "auth_permission" VALUES(40,11,'view_task','Can view background call');
INSERT INTO "auth_permission" VALUES(41,12,'add_scheduledtaskinstance','Can add run');
INSERT INTO "auth_permission" VALUES(42,12,'change_scheduledtaskinstance','Can change run');
INSERT INTO "auth_permission" VALUES(43,12,'delete_scheduledtaskinstance','Can delete run');
INSERT INTO "auth_permission" VALUES(44,12,'view_scheduledtaskinstance','Can view run');
INSERT INTO "auth_permission" VALUES(45,13,'add_calendar','Can add calendar');
INSERT INTO "auth_permission" VALUES(46,13,'change_calendar','Can change calendar');
INSERT INTO "auth_permission" VALUES(47,13,'delete_calendar','Can delete calendar');
INSERT INTO "auth_permission" VALUES(48,13,'view_calendar','Can view calendar');
INSERT INTO "auth_permission" VALUES(49,14,'add_runrequest','Can add requested run');
INSERT INTO "auth_permission" VALUES(50,14,'change_runrequest','Can change requested run');
INSERT INTO "auth_permission" VALUES(51,14,'delete_runrequest','Can delete requested run');
INSERT INTO "auth_permission" VALUES(52,14,'view_runrequest','Can view requested run');
INSERT INTO "auth_permission" VALUES(53,15,'add_scheduleperiod','Can add period');
INSERT INTO "auth_permission" VALUES(54,15,'change_scheduleperiod','Can change period');
INSERT INTO "auth_permission" VALUES(55,15,'delete_scheduleperiod','Can delete period');
INSERT INTO "auth_permission" VALUES(56,15,'view_scheduleperiod','Can view period');
INSERT INTO "auth_permission" VALUES(57,1,'admin','Access admin page');
CREATE TABLE "auth_user" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "password" varchar(128) NOT NULL, "last_login" datetime NULL, "is_superuser" bool NOT NULL, "username" varchar(150) NOT NULL UNIQUE, "last_name" varchar(150) NOT NULL, "email" varchar(254) NOT NULL, "is_staff" bool NOT NULL, "is_active" bool NOT NULL, "date_joined" datetime NOT NULL, "first_name" varchar(150) NOT NULL);
INSERT INTO "auth_user" VALUES(1,'!',NULL,1,'admin','','',1,1,'2026-11-26 23:31:06.622838','');
CREATE TABLE "auth_user_groups" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "user_id" integer NOT NULL REFERENCES "auth_user" ("id") DEFERRABLE INITIALLY DEFERRED, "group_id" integer NOT NULL REFERENCES "auth_group" ("id") DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE "auth_user_user_permissions" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "user_id" integer NOT NULL REFERENCES "auth_user" ("id") DEFERRABLE INITIALLY DEFERRED, "permission_id" integer NOT NULL REFERENCES "auth_permission" ("id") DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE "django_admin_log" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "object_id" text NULL, "object_repr" varchar(200) NOT NULL, "action_flag" smallint unsigned NOT NULL CHECK ("action_flag" >= 0), "change_message" text NOT NULL, "content_type_id" integer NULL REFERENCES "django_content_type" ("id") DEFERRABLE INITIALLY DEFERRED, "user_id" integer NOT NULL REFERENCES "auth_user" ("id") DEFERRABLE INITIALLY DEFERRED, "action_time" datetime NOT NULL);
INSERT INTO "django_admin_log" VALUES(1,'17','edited',1,'[{"added": {}}]',10,1,'2026-11-26 23:31:52.833595');
CREATE TABLE "django_content_type" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "app_label" varchar(100) NOT NULL, "model" varchar(100) NOT NULL);
INSERT INTO "django_content_type" VALUES(1,'django_rq','dashboard');
INSERT INTO "django_content_type" VALUES(2,'admin','logentry');
INSERT INTO "django_content_type" VALUES(3,'auth','permission');
INSERT INTO "django_content_type" VALUES(4,'auth','group');
INSERT INTO "django_content_type" VALUES(5,'auth','user');
INSERT INTO "django_content_type" VALUES(6,'contenttypes','contenttype');
INSERT INTO "django_content_type" VALUES(7,'sessions','session');
INSERT INTO "django_content_type" VALUES(8,'feeds','feed');
INSERT INTO "django_content_type" VALUES(9,'feeds','entry');
INSERT INTO "django_content_type" VALUES(10,'tasks','scheduledtask');
INSERT INTO "django_content_type" VALUES(11,'tasks','task');
INSERT INTO "django_content_type" VALUES(12,'tasks','scheduledtaskinstance');
INSERT INTO "django_content_type" VALUES(13,'tasks','calendar');
INSERT INTO "django_content_type" VALUES(14,'tasks','runrequest');
INSERT INTO "django_content_type" VALUES(15,'tasks','scheduleperiod');
CREATE TABLE "django_migrations" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "app" varchar(255) NOT NULL, "name" varchar(255) NOT NULL, "applied" datetime NOT NULL);
INSERT INTO "django_migrations" VALUES(1,'contenttypes','0001_initial','2026-11-26 23:31:06.010782');
INSERT INTO "django_migrations" VALUES(2,'auth','0001_initial','2026-11-26 23:31:06.028305');
INSERT INTO "django_migrations" VALUES(3,'admin','0001_initial','2026-11-26 23:31:06.035494');
INSERT INTO "django_migrations" VALUES(4,'admin','0002_logentry_remove_auto_add','2026-11-26 23:31:06.045760');
INSERT INTO "django_migrations" VALUES(5,'admin','0003_logentry_add_action_flag_choices','2026-11-26 23:31:06.052191');
INSERT INTO "django_migrations" VALUES(6,'contenttypes','0002_remove_content_type_name','2026-11-26 23:31:06.065862');
INSERT INTO "django_migrations" VALUES(7,'auth','0002_alter_permission_name_max_length','2026-11-26 23:31:06.073810');
INSERT INTO "django_migrations" VALUES(8,'auth','0003_alter_user_email_max_length','2026-11-26 23:31:06.078809');
INSERT INTO "django_migrations" VALUES(9,'auth','0004_alter_user_username_opts','2026-11-26 23:31:06.086958');
INSERT INTO "django_migrations" VALUES(10,'auth','0005_alter_user_last_login_null','2026-11-26 23:31:06.092248');
INSERT INTO "django_migrations" VALUES(11,'auth','0006_require_contenttypes_0002','2026-11-26 23:31:06.092683');
INSERT INTO "django_migrations" VALUES(12,'auth','0007_alter_validators_add_error_messages','2026-11-26 23:31:06.099294');
INSERT INTO "django_migrations" VALUES(13,'auth','0008_alter_user_username_max_length','2026-11-26 23:31:06.109840');
INSERT INTO "django_migrations" VALUES(14,'auth','0009_alter_user_last_name_max_length','2026-11-26 23:31:06.119752');
INSERT INTO "django_migrations" VALUES(15,'auth','0010_alter_group_name_max_length','2026-11-26 23:31:06.129897');
INSERT INTO "django_migrations" VALUES(16,'auth','0011_update_proxy_permissions','2026-11-26 23:31:06.135400');
INSERT INTO "django_migrations" VALUES(17,'auth','0012_alter_user_first_name_max_length','2026-11-26 23:31:06.145274');
INSERT INTO "django_migrations" VALUES(18,'django_rq','0001_initial','2026-11-26 23:31:06.153390');
INSERT INTO "django_migrations" VALUES(19,'django_rq','0002_delete_queue_create_dashboard','2026-11-26 23:31:06.159759');
INSERT INTO "django_migrations" VALUES(20,'django_rq','0003_alter_dashboard_permission_names','2026-11-26 23:31:06.173588');
INSERT INTO "django_migrations" VALUES(21,'tasks','0001_initial','2026-11-26 23:31:06.190949');
INSERT INTO "django_migrations" VALUES(22,'feeds','0001_initial','2026-11-26 23:31:06.235319');
INSERT INTO "django_migrations" VALUES(23,'sessions','0001_initial','2026-11-26 23:31:06.236873');
INSERT INTO "django_migrations" VALUES(24,'tasks','0002_calendars_exclusion_jitter','2026-11-26 23:31:06.279737');
INSERT INTO "django_migrations" VALUES(25,'tasks','0003_periods','2026-11-26 23:31:06.584605');
INSERT INTO "django_migrations" VALUES(26,'tasks','0004_fewer_indexes','2026-11-26 23:31:06.596948');
CREATE TABLE "django_session" ("session_key" varchar(40) NOT NULL PRIMARY KEY, "session_data" text NOT NULL, "expire_date" datetime NOT NULL);
CREATE TABLE "feeds_entry" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "guid" varchar(500) NOT NULL, "title" varchar(500) NOT NULL, "link" varchar(2000) NOT NULL, "author" varchar(500) NOT NULL, "summary" text NOT NULL, "content" text NOT NULL, "published" datetime NOT NULL, "updated" datetime NULL, "digest" varchar(64) NOT NULL, "first_seen" datetime NOT NULL, "feed_id" bigint NOT NULL REFERENCES "feeds_feed" ("id") DEFERRABLE INITIALLY DEFERRED, CONSTRAINT "entry_guid_unique_in_feed" UNIQUE ("feed_id", "guid"), CONSTRAINT "entry_has_guid" CHECK (NOT ("guid" = '')));
INSERT INTO "feeds_entry" VALUES(1,'urn:news:1','Entry 1 – “quoted”','https://news.example/1','','','<p>Text 1</p>','2026-01-01 08:00:00',NULL,'0000000000000000000000000000000000000000000000000000000000000001','2026-11-26 23:31:44.550079',1);
INSERT INTO "feeds_entry" VALUES(2,'urn:news:2','Entry 2 – “quoted”','https://news.example/2','','','<p>Text 2</p>','2026-01-02 08:00:00',NULL,'0000000000000000000000000000000000000000000000000000000000000002','2026-11-26 23:31:44.550079',1);
INSERT INTO "feeds_entry" VALUES(3,'urn:news:3','Entry 3 – “quoted”','https://news.example/3','','','<p>Text 3</p>','2026-01-03 08:00:00',NULL,'0000000000000000000000000000000000000000000000000000000000000003','2026-11-26 23:31:44.550079',1);
CREATE TABLE "feeds_feed" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "url" varchar(2000) NOT NULL UNIQUE, "title" varchar(500) NOT NULL, "link" varchar(2000) NOT NULL, "etag" text NOT NULL, "last_modified" text NOT NULL, "created" datetime NOT NULL, "updated" datetime NOT NULL, "schedule_id" bigint NULL UNIQUE REFERENCES "tasks_scheduledtask" ("id") DEFERRABLE INITIALLY DEFERRED, CONSTRAINT "feed_url_is_web" CHECK (("url" LIKE 'http://%' ESCAPE '\' OR "url" LIKE 'https://%' ESCAPE '\')));
INSERT INTO "feeds_feed" VALUES(1,'https://news.example/feed','News','https://news.example/','"abc"','Sat, 03 Jan 2026 08:00:00 GMT','2026-11-26 23:31:44.529624','2026-11-26 23:31:44.550695',18);
CREATE TABLE "tasks_calendar" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "name" varchar(200) NOT NULL UNIQUE, "dates" text NOT NULL, "description" text NOT NULL, "created" datetime NOT NULL, "updated" datetime NOT NULL, CONSTRAINT "calendar_dates_in_bounds" CHECK (LENGTH("dates") <= 24000));
INSERT INTO "tasks_calendar" VALUES(1,'Holidays','2098-01-01
2098-12-24..2098-12-26','Closed','2026-11-26 23:31:06.746501','2026-11-26 23:31:06.746531');
CREATE TABLE "tasks_runrequest" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "due" datetime NULL, "requested" datetime NOT NULL, "parent_id" bigint NOT NULL REFERENCES "tasks_scheduledtask" ("id") DEFERRABLE INITIALLY DEFERRED, CONSTRAINT "request_one_per_occurrence" UNIQUE ("parent_id", "due"));
INSERT INTO "tasks_runrequest" VALUES(5,NULL,'2026-11-26 23:31:52.822000',8);
INSERT INTO "tasks_runrequest" VALUES(6,'2026-11-26 23:31:08.623000','2026-11-26 23:31:52.829910',1);
INSERT INTO "tasks_runrequest" VALUES(7,'2026-11-26 23:31:09.623000','2026-11-26 23:31:52.829910',1);
CREATE TABLE "tasks_scheduledtask" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "name" varchar(200) NOT NULL, "job_id" varchar(64) NOT NULL UNIQUE, "type" varchar(16) NOT NULL, "description" text NOT NULL, "function" varchar(200) NOT NULL, "args" text NOT NULL CHECK ((JSON_VALID("args") OR "args" IS NULL)), "kwargs" text NOT NULL CHECK ((JSON_VALID("kwargs") OR "kwargs" IS NULL)), "fingerprint" varchar(64) NOT NULL UNIQUE, "queue" varchar(64) NOT NULL, "status" varchar(16) NOT NULL, "problem" text NOT NULL, "first" datetime NULL, "interval" bigint unsigned NULL CHECK ("interval" >= 0), "cron" varchar(200) NOT NULL, "timezone" varchar(64) NOT NULL, "repeat" integer unsigned NULL CHECK ("repeat" >= 0), "start" datetime NULL, "end" datetime NULL, "overlap" varchar(16) NOT NULL, "catch_up" varchar(16) NOT NULL, "start_deadline" integer unsigned NULL CHECK ("start_deadline" >= 0), "timeout" integer unsigned NULL CHECK ("timeout" >= 0), "retries" smallint unsigned NOT NULL CHECK ("retries" >= 0), "retry_delay" integer unsigned NOT NULL CHECK ("retry_delay" >= 0), "keep_runs" integer unsigned NULL CHECK ("keep_runs" >= 0), "keep_days" integer unsigned NULL CHECK ("keep_days" >= 0), "note" text NOT NULL, "paused_at" datetime NULL, "synced" bool NOT NULL, "accounted_until" datetime NOT NULL, "created" datetime NOT NULL, "updated" datetime NOT NULL, "exclude" text NOT NULL, "jitter" integer unsigned NULL CHECK ("jitter" >= 0), "calendar_id" bigint NULL REFERENCES "tasks_calendar" ("id") DEFERRABLE INITIALLY DEFERRED, "look_at" datetime NOT NULL, "pruned_until" datetime NULL, "since" datetime NOT NULL, CONSTRAINT "schedule_status_known" CHECK ("status" IN ('running', 'failed', 'paused', 'death')), CONSTRAINT "schedule_spec_of_its_type" CHECK ((("first" IS NULL AND "interval" IS NULL AND "type" = 'cron' AND NOT ("cron" = '')) OR ("cron" = '' AND "first" IS NOT NULL AND "type" = 'schedule'))), CONSTRAINT "schedule_interval_in_bounds" CHECK (("interval" IS NULL OR ("interval" >= 1 AND "interval" <= 316224000))), CONSTRAINT "schedule_repeat_in_bounds" CHECK (("repeat" IS NULL OR ("repeat" >= 1 AND "repeat" <= 100000))), CONSTRAINT "schedule_retries_in_bounds" CHECK (("retries" <= 100 AND "retry_delay" <= 604800)), CONSTRAINT "schedule_end_not_before_start" CHECK (("start" IS NULL OR "end" IS NULL OR "end" >= ("start"))), CONSTRAINT "schedule_timeout_in_bounds" CHECK (("timeout" IS NULL OR ("timeout" >= 1 AND "timeout" <= 604800))), CONSTRAINT "schedule_start_deadline_in_bounds" CHECK (("start_deadline" IS NULL OR ("start_deadline" >= 1 AND "start_deadline" <= 316224000))), CONSTRAINT "schedule_keep_runs_in_bounds" CHECK (("keep_runs" IS NULL OR ("keep_runs" >= 1 AND "keep_runs" <= 1000000))), CONSTRAINT "schedule_keep_days_in_bounds" CHECK (("keep_days" IS NULL OR ("keep_days" >= 1 AND "keep_days" <= 36500))), CONSTRAINT "schedule_policies_known" CHECK (("overlap" IN ('skip', 'allow', 'wait', 'replace') AND "catch_up" IN ('latest', 'all', 'none'))), CONSTRAINT "schedule_paused_since" CHECK ((("paused_at" IS NOT NULL AND "status" = 'paused') OR (NOT ("status" = 'paused') AND "paused_at" IS NULL))), CONSTRAINT "schedule_exclude_in_bounds" CHECK (LENGTH("exclude") <= 24000), CONSTRAINT "schedule_jitter_in_bounds" CHECK (("jitter" IS NULL OR ("jitter" >= 1 AND "jitter" <= 86400 AND ("interval" IS NULL OR "jitter" <= ("interval"))))));
INSERT INTO "tasks_scheduledtask" VALUES(1,'misses all','schedule-b5d899dcb7144b0c9cee4e93684e1c38','schedule','','tests.jobs.answer','[]','{}','ef0347a954d0f09cc9abaa9f15414e7da30d0a8b85b3b9198c31f5a03a3011a6','default','death','','2026-11-26 23:31:06.623000',1,'','UTC',NULL,NULL,'2026-11-26 23:31:10.623193','skip','none',NULL,NULL,0,0,1000,NULL,'',NULL,0,'2026-11-26 23:31:27.631809','2026-11-26 23:31:06.640801','2026-11-26 23:31:06.640809','',NULL,NULL,'2026-11-26 23:31:32.611168',NULL,'2026-11-26 23:31:27.631809');
INSERT INTO "tasks_scheduledtask" VALUES(2,'misses all but the newest','schedule-3720acae306d490d81de4acf63f97ebb','schedule','','tests.jobs.answer','[]','{}','faaa84316ac0454633070cef5f47e14dbddbf7fe202ad6a262cc882a57f578bf','default','death','','2026-11-26 23:31:06.623000',1,'','UTC',NULL,NULL,'2026-11-26 23:31:10.623193','skip','latest',NULL,NULL,0,0,1000,NULL,'',NULL,0,'2026-11-26 23:31:32.675864','2026-11-26 23:31:06.682908','2026-11-26 23:31:06.682914','',NULL,NULL,'2026-11-26 23:31:37.671522',NULL,'2026-11-26 23:31:32.675864');
INSERT INTO "tasks_scheduledtask" VALUES(3,'comes too late','schedule-3a6d0017bd6644f8ae600b2b0c6497d5','schedule','','tests.jobs.answer','[]','{}','fd025a6d0c4119f86c435398321885aeeee2c1673926eacbb63920d7679e2e87','default','death','','2026-11-26 23:31:06.623000',1,'','UTC',NULL,NULL,'2026-11-26 23:31:08.623193','skip','latest',2,NULL,0,0,1000,NULL,'',NULL,0,'2026-11-26 23:31:27.625810','2026-11-26 23:31:06.720743','2026-11-26 23:31:06.720748','',NULL,NULL,'2026-11-26 23:31:32.611168',NULL,'2026-11-26 23:31:27.625810');
INSERT INTO "tasks_scheduledtask" VALUES(4,'monthly in Berlin','schedule-cc22c5945b2f45618d518565c9101ffb','cron','With everything.','tests.jobs.answer','[]','{}','0e97250d8295493b67a34321e00f3b98cd7f3c6fd4862ec930dd320b03b739aa','low','running','',NULL,NULL,'30 6 1 * *','Europe/Berlin',900,'2026-11-26 23:31:06.746876','2099-01-01 00:00:00','skip','latest',NULL,60,0,0,500,36500,'',NULL,0,'2026-11-26 23:31:06.779747','2026-11-26 23:31:06.780209','2026-11-26 23:31:06.780219','2098-05-01',600,1,'2026-11-27 00:31:32.611168',NULL,'2026-11-26 23:31:06.779747');
INSERT INTO "tasks_scheduledtask" VALUES(5,'once, to come','schedule-ce6590e6067d4cf3a3a0174f0b47fd0b','schedule','','tests.jobs.answer','[]','{}','f0652edc3bb75008367fc64e7ca63f3d9599a5f4c82323b0d5d8fde164962505','default','running','','2099-01-01 00:00:00',NULL,'','UTC',NULL,NULL,NULL,'skip','latest',NULL,NULL,0,0,1000,NULL,'',NULL,0,'2026-11-26 23:31:06.844345','2026-11-26 23:31:06.844923','2026-11-26 23:31:06.844933','',NULL,NULL,'2026-11-27 00:31:32.611168',NULL,'2026-11-26 23:31:06.844345');
INSERT INTO "tasks_scheduledtask" VALUES(6,'without its function','schedule-7cd26283ce944479a2f09d6d076abc15','schedule','','gone.function','[]','{}','b128698dd03ad72458fec64d60a367718f9b1d5c16d54813dbc562191babf9b4','default','running','No task function is registered as “gone.function”. Registered: examples.count_words, examples.long_task, feeds.fetch_rss, tests.jobs.answer, tests.jobs.count, tests.jobs.end_by, tests.jobs.note, tests.jobs.process_id, tests.jobs.witness.','2099-01-01 00:00:00',NULL,'','UTC',NULL,NULL,NULL,'skip','latest',NULL,NULL,0,0,1000,NULL,'',NULL,0,'2026-11-26 23:31:06.899324','2026-11-26 23:31:06.899941','2026-11-26 23:31:06.899953','',NULL,NULL,'2026-11-27 00:31:32.611168',NULL,'2026-11-26 23:31:06.899324');
INSERT INTO "tasks_scheduledtask" VALUES(7,'once, over','schedule-e5b3ed9ed5b0470787e0461adb0f4c0b','schedule','','tests.jobs.count','[2, 0.1]','{}','4dce7206271f72689d2c759e666b326568b2cd9bde1f1f8c8b0ca3ad6b3bc9af','default','death','','2026-11-26 23:31:23.910000',NULL,'','UTC',NULL,NULL,NULL,'skip','latest',NULL,NULL,0,0,1000,NULL,'',NULL,0,'2026-11-26 23:31:27.636816','2026-11-26 23:31:23.933162','2026-11-26 23:31:23.933173','',NULL,NULL,'2026-11-26 23:31:32.611168',NULL,'2026-11-26 23:31:27.636816');
INSERT INTO "tasks_scheduledtask" VALUES(8,'every 30 days','schedule-3db518971a3241bfabc2dbc1a017fc9b','schedule','','tests.jobs.answer','[]','{}','0fdd113c53ed364854f57b01b98ebbd0346aee2760a77cf315678841c45bf284','default','running','','2026-11-26 23:31:23.943000',2592000,'','UTC',NULL,NULL,NULL,'skip','latest',NULL,NULL,0,0,1000,NULL,'',NULL,0,'2026-11-26 23:31:23.943000','2026-11-26 23:31:23.961863','2026-11-26 23:31:23.961870','',NULL,NULL,'2026-11-27 00:31:32.611168',NULL,'2026-11-26 23:31:23.942999');
INSERT INTO "tasks_scheduledtask" VALUES(9,'fails','schedule-48cba9778bde48d39119296754887fdb','schedule','','tests.jobs.end_by','["raise"]','{}','845a2040a8134e5b030897fea58b5d4986ebe0ba6c256a8e86b41f77e0584b4c','default','failed','','2026-11-26 23:31:23.965000',2592000,'','UTC',NULL,NULL,NULL,'skip','latest',NULL,NULL,1,1,1000,NULL,'',NULL,0,'2026-11-26 23:31:23.965000','2026-11-26 23:31:24.018653','2026-11-26 23:31:24.018660','',NULL,NULL,'2026-11-27 00:31:32.611168',NULL,'2026-11-26 23:31:23.964999');
INSERT INTO "tasks_scheduledtask" VALUES(10,'waits for its retry','schedule-e87e0a0e27c14d0bb3a93bf4cc8cc86e','schedule','','tests.jobs.end_by','["raise"]','{}','4a4eb5627402f088ccf0d29e167518bbdcd700ddb2f9bcf030e697b3f3fb8b35','default','failed','','2026-11-26 23:31:24.030000',2592000,'','UTC',NULL,NULL,NULL,'skip','latest',NULL,NULL,3,120,1000,NULL,'',NULL,0,'2026-11-26 23:31:24.030000','2026-11-26 23:31:24.046812','2026-11-26 23:31:24.046818','',NULL,NULL,'2026-11-27 00:31:32.611168',NULL,'2026-11-26 23:31:24.029999');
INSERT INTO "tasks_scheduledtask" VALUES(11,'five times','schedule-c320d8b0e38c44bd8c78d1fe0f7aebb9','schedule','','tests.jobs.answer','[]','{}','3bcb274590c44ee69af8c6d6614e6c5304d53a653b8fa77e17b798cd18417d95','default','death','','2026-11-26 23:31:24.058000',1,'','UTC',5,NULL,NULL,'skip','latest',NULL,NULL,0,0,1000,NULL,'',NULL,0,'2026-11-26 23:31:33.698175','2026-11-26 23:31:24.068561','2026-11-26 23:31:24.068567','',NULL,NULL,'2026-11-26 23:31:38.694112',NULL,'2026-11-26 23:31:33.698175');
INSERT INTO "tasks_scheduledtask" VALUES(12,'skips what overlaps','schedule-e6ba1257dd8e448eb147358950400b38','cron','','tests.jobs.count','[30, 0.1]','{}','88a506b77fea6bea9cf2a1979e161585d91e418e03cec6a51ffd9252faa719e8','default','death','',NULL,NULL,'* * * * * *','UTC',NULL,NULL,'2026-11-26 23:31:30.082119','skip','latest',NULL,NULL,0,0,1000,NULL,'',NULL,0,'2026-11-26 23:31:37.782439','2026-11-26 23:31:24.099717','2026-11-26 23:31:24.099728','',NULL,NULL,'2026-11-26 23:31:42.776733',NULL,'2026-11-26 23:31:37.782439');
INSERT INTO "tasks_scheduledtask" VALUES(13,'replaces what overlaps','schedule-6ad86959d996439e90656deb14c9735e','schedule','','tests.jobs.count','[25, 0.1]','{}','639ef5d379d837a126654769fc034d0a22f5a71e21ed271bd3ba9084276ac9de','default','death','','2026-11-26 23:31:24.104000',2,'','UTC',NULL,NULL,'2026-11-26 23:31:29.104669','replace','latest',NULL,NULL,0,0,1000,NULL,'',NULL,0,'2026-11-26 23:31:33.702244','2026-11-26 23:31:24.122920','2026-11-26 23:31:24.122927','',NULL,NULL,'2026-11-26 23:31:38.694112',NULL,'2026-11-26 23:31:33.702244');
INSERT INTO "tasks_scheduledtask" VALUES(14,'waits for what overlaps','schedule-66a137aeff22494d927413950f8ac996','schedule','','tests.jobs.count','[12, 0.1]','{}','5d3eabed354b391d7b95c0a21d1a698a4d38d8476b448099f5afb91ef31a0313','default','death','','2026-11-26 23:31:24.134000',1,'','UTC',NULL,NULL,'2026-11-26 23:31:26.134984','wait','latest',NULL,NULL,0,0,1000,NULL,'',NULL,0,'2026-11-26 23:31:32.680383','2026-11-26 23:31:24.155313','2026-11-26 23:31:24.155319','',NULL,NULL,'2026-11-26 23:31:37.671522',NULL,'2026-11-26 23:31:32.680383');
INSERT INTO "tasks_scheduledtask" VALUES(15,'paused','schedule-acd1526cdd534d63aa3253caf0e1584f','schedule','','tests.jobs.answer','[]','{}','21b9c66f999160ca4a229e02cf1e4888ca4b39b6dcb656d200cbb63fc5c3bda9','default','paused','','2026-11-26 23:31:24.245000',2,'','UTC',NULL,NULL,NULL,'skip','latest',NULL,NULL,0,0,1000,NULL,'Until the move is over.','2026-11-26 23:31:29.449389',0,'2026-11-26 23:31:29.450684','2026-11-26 23:31:24.282653','2026-11-26 23:31:29.452574','',NULL,NULL,'2026-11-26 23:31:29.450684',NULL,'2026-11-26 23:31:29.450684');
INSERT INTO "tasks_scheduledtask" VALUES(16,'cancelled','schedule-792c368ab47f43908e4ad36c73851f59','schedule','','tests.jobs.answer','[]','{}','d1a0a4048f0ed4856f91384877a57a1f6cc6e01071b09360e9cb1d5e038e4ed4','default','death','','2026-11-26 23:31:24.310000',2,'','UTC',NULL,NULL,NULL,'skip','latest',NULL,NULL,0,0,1000,NULL,'',NULL,0,'2026-11-26 23:31:29.456158','2026-11-26 23:31:24.351585','2026-11-26 23:31:29.461636','',NULL,NULL,'2026-11-26 23:31:29.456158',NULL,'2026-11-26 23:31:29.456158');
INSERT INTO "tasks_scheduledtask" VALUES(17,'edited','schedule-0175632d43a94c1cb4fa236b65a5475e','schedule','Edited.','tests.jobs.answer','[]','{}','404d24cfb168785ce520fdf652b0b415a0271df13fa25bb9816d23fdf7fa93c8','default','running','','2026-11-26 23:31:40.511000',2592000,'','UTC',NULL,NULL,NULL,'skip','latest',NULL,NULL,0,0,1000,NULL,'',NULL,0,'2026-11-26 23:31:40.511000','2026-11-26 23:31:24.404460','2026-11-26 23:31:40.526098','',NULL,NULL,'2026-11-27 00:31:45.876945',NULL,'2026-11-26 23:31:40.510999');
INSERT INTO "tasks_scheduledtask" VALUES(18,'News','schedule-451175ec01c247a682b5892b1cc01f7d','cron','','feeds.fetch_rss','[1]','{}','8e2c56ec1bf7839d423d4764fb4226fc8691ce8d4ae897af86260e239a73e8b3','default','paused','',NULL,NULL,'0 6 1 1 *','Europe/Berlin',NULL,NULL,NULL,'skip','latest',NULL,NULL,0,0,1000,NULL,'Their server is being moved.','2026-11-26 23:31:44.553386',0,'2026-11-26 23:31:44.554036','2026-11-26 23:31:44.542184','2026-11-26 23:31:44.554494','',NULL,NULL,'2026-11-26 23:31:44.554036',NULL,'2026-11-26 23:31:44.554036');
INSERT INTO "tasks_scheduledtask" VALUES(19,'waits on its queue','schedule-7c0701d33a5b4b54ae6cd14e7a3f1e7e','schedule','','tests.jobs.answer','[]','{}','41adff48d464942ad3e0f86a7f23662fe7a43b3350898982b8b0a532e18bc9d3','default','running','','2026-11-26 23:31:44.558000',1,'','UTC',3,NULL,NULL,'allow','all',NULL,NULL,0,0,1000,NULL,'',NULL,0,'2026-11-26 23:31:44.557999','2026-11-26 23:31:44.571957','2026-11-26 23:31:44.571963','',NULL,NULL,'2026-11-26 23:31:50.859076',NULL,'2026-11-26 23:31:44.557999');
INSERT INTO "tasks_scheduledtask" VALUES(20,'lost its worker','schedule-fa4e8088cb97409c8a13837f9a440cb3','schedule','','tests.jobs.count','[40, 0.1]','{}','86030c7bfebd0a3201225cae9d3c631cf42709f59126761594d75284d3eae6c6','high','running','','2026-11-26 23:31:47.793000',2592000,'','UTC',NULL,NULL,NULL,'skip','latest',NULL,NULL,0,0,1000,NULL,'',NULL,0,'2026-11-26 23:31:47.792999','2026-11-26 23:31:47.804914','2026-11-26 23:31:47.804919','',NULL,NULL,'2026-11-26 23:31:47.794037',NULL,'2026-11-26 23:31:47.792999');
INSERT INTO "tasks_scheduledtask" VALUES(21,'its end is on the spool','schedule-ed899fae094e4186948b99a2081370c1','schedule','','tests.jobs.count','[40, 0.1]','{}','187d7ce2e20f834069929dff14a3c2b90e72513d44315dbb39259e33ab484d33','high','running','','2026-11-26 23:31:47.809000',2592000,'','UTC',NULL,NULL,NULL,'skip','latest',NULL,NULL,0,0,1000,NULL,'',NULL,0,'2026-11-26 23:31:47.808999','2026-11-26 23:31:47.818864','2026-11-26 23:31:47.818870','',NULL,NULL,'2026-11-26 23:31:47.809242',NULL,'2026-11-26 23:31:47.808999');
CREATE TABLE "tasks_scheduledtaskinstance" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "name" varchar(200) NOT NULL, "failed" bool GENERATED ALWAYS AS (CASE WHEN "status" = 'failed' THEN 1 ELSE 0 END) STORED, "attempt" smallint unsigned NOT NULL CHECK ("attempt" >= 0), "started" datetime NULL, "ended" datetime NULL, "worker_name" varchar(200) NOT NULL, "progress" smallint unsigned NOT NULL CHECK ("progress" >= 0), "progress_message" varchar(200) NOT NULL, "reason" varchar(500) NOT NULL, "log" text NOT NULL, "result" text NULL CHECK ((JSON_VALID("result") OR "result" IS NULL)), "exception_class" varchar(200) NOT NULL, "traceback" text NOT NULL, "created" datetime NOT NULL, "status" varchar(16) NOT NULL, "due" datetime NULL, "requested" datetime NULL, "parent_id" bigint NOT NULL REFERENCES "tasks_scheduledtask" ("id") DEFERRABLE INITIALLY DEFERRED, CONSTRAINT "run_one_per_occurrence" UNIQUE ("parent_id", "due"), CONSTRAINT "run_times_of_its_status" CHECK ((("ended" IS NULL AND "started" IS NOT NULL AND "status" = 'running') OR ("ended" IS NOT NULL AND "started" IS NOT NULL AND "status" IN ('finished', 'failed')) OR ("ended" IS NOT NULL AND "status" = 'canceled') OR ("ended" IS NOT NULL AND "started" IS NULL AND "status" IN ('missed', 'skipped')))), CONSTRAINT "run_numbers_in_bounds" CHECK (("attempt" >= 1 AND "progress" >= 0 AND "progress" <= 100)), CONSTRAINT "run_due_or_requested" CHECK (("due" IS NOT NULL OR "requested" IS NOT NULL)));
INSERT INTO "tasks_scheduledtaskinstance" VALUES(1,'once, over',1,'2026-11-26 23:31:27.086554','2026-11-26 23:31:27.288945','worker-1',100,'at 1','','2026-11-26 23:31:27,087 INFO tests.jobs.tasks: At 0
2026-11-26 23:31:27,188 INFO tests.jobs.tasks: At 1
','2','','','2026-11-26 23:31:27.086554','finished','2026-11-26 23:31:23.910000',NULL,7);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(2,'every 30 days',1,'2026-11-26 23:31:27.205834','2026-11-26 23:31:27.208326','worker-2',100,'','','','42','','','2026-11-26 23:31:27.205834','finished','2026-11-26 23:31:23.943000',NULL,8);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(3,'fails',2,'2026-11-26 23:31:32.933162','2026-11-26 23:31:32.934442','worker-1',0,'','Failed for: ValueError: as asked','Failed for: ValueError: as asked
— attempt 2 —
Failed for: ValueError: as asked
',NULL,'builtins.ValueError','Traceback (most recent call last):
  File "tasks/recording.py", line 415, in run
    result = _call(func, args, kwargs, deadline)
             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "tasks/recording.py", line 563, in _call
    result = func(*args, **kwargs)
             ^^^^^^^^^^^^^^^^^^^^^
  File "tests/jobs/tasks.py", line 67, in end_by
    return WAYS[how]()
           ^^^^^^^^^^^
  File "tests/jobs/tasks.py", line 76, in _raise
    raise ValueError("as asked")
ValueError: as asked
','2026-11-26 23:31:27.209835','failed','2026-11-26 23:31:23.965000',NULL,9);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(4,'waits for its retry',1,'2026-11-26 23:31:27.242877','2026-11-26 23:31:27.243728','worker-2',0,'','Failed for: ValueError: as asked','Failed for: ValueError: as asked
',NULL,'builtins.ValueError','Traceback (most recent call last):
  File "tasks/recording.py", line 415, in run
    result = _call(func, args, kwargs, deadline)
             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "tasks/recording.py", line 563, in _call
    result = func(*args, **kwargs)
             ^^^^^^^^^^^^^^^^^^^^^
  File "tests/jobs/tasks.py", line 67, in end_by
    return WAYS[how]()
           ^^^^^^^^^^^
  File "tests/jobs/tasks.py", line 76, in _raise
    raise ValueError("as asked")
ValueError: as asked
','2026-11-26 23:31:27.242877','failed','2026-11-26 23:31:24.030000',NULL,10);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(5,'five times',1,'2026-11-26 23:31:27.266631','2026-11-26 23:31:27.267585','worker-2',100,'','','','42','','','2026-11-26 23:31:27.266631','finished','2026-11-26 23:31:24.058000',NULL,11);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(6,'five times',1,'2026-11-26 23:31:27.268543','2026-11-26 23:31:27.270405','worker-2',100,'','','','42','','','2026-11-26 23:31:27.268543','finished','2026-11-26 23:31:25.058000',NULL,11);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(7,'five times',1,'2026-11-26 23:31:27.271455','2026-11-26 23:31:27.272019','worker-2',100,'','','','42','','','2026-11-26 23:31:27.271455','finished','2026-11-26 23:31:26.058000',NULL,11);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(8,'five times',1,'2026-11-26 23:31:27.277459','2026-11-26 23:31:27.278424','worker-2',100,'','','','42','','','2026-11-26 23:31:27.277459','finished','2026-11-26 23:31:27.058000',NULL,11);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(9,'replaces what overlaps',1,'2026-11-26 23:31:27.279380','2026-11-26 23:31:27.304001','worker-2',0,'','Replaced by the next run.','',NULL,'','','2026-11-26 23:31:27.279380','canceled','2026-11-26 23:31:24.104000',NULL,13);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(10,'replaces what overlaps',1,'2026-11-26 23:31:27.304512','2026-11-26 23:31:29.820091','worker-1',100,'at 24','','2026-11-26 23:31:27,309 INFO tests.jobs.tasks: At 0
2026-11-26 23:31:27,409 INFO tests.jobs.tasks: At 1
2026-11-26 23:31:27,510 INFO tests.jobs.tasks: At 2
2026-11-26 23:31:27,613 INFO tests.jobs.tasks: At 3
2026-11-26 23:31:27,713 INFO tests.jobs.tasks: At 4
2026-11-26 23:31:27,813 INFO tests.jobs.tasks: At 5
2026-11-26 23:31:27,914 INFO tests.jobs.tasks: At 6
2026-11-26 23:31:28,014 INFO tests.jobs.tasks: At 7
2026-11-26 23:31:28,114 INFO tests.jobs.tasks: At 8
2026-11-26 23:31:28,215 INFO tests.jobs.tasks: At 9
2026-11-26 23:31:28,315 INFO tests.jobs.tasks: At 10
2026-11-26 23:31:28,415 INFO tests.jobs.tasks: At 11
2026-11-26 23:31:28,516 INFO tests.jobs.tasks: At 12
2026-11-26 23:31:28,616 INFO tests.jobs.tasks: At 13
2026-11-26 23:31:28,716 INFO tests.jobs.tasks: At 14
2026-11-26 23:31:28,816 INFO tests.jobs.tasks: At 15
2026-11-26 23:31:28,917 INFO tests.jobs.tasks: At 16
2026-11-26 23:31:29,017 INFO tests.jobs.tasks: At 17
2026-11-26 23:31:29,117 INFO tests.jobs.tasks: At 18
2026-11-26 23:31:29,218 INFO tests.jobs.tasks: At 19
2026-11-26 23:31:29,318 INFO tests.jobs.tasks: At 20
2026-11-26 23:31:29,418 INFO tests.jobs.tasks: At 21
2026-11-26 23:31:29,518 INFO tests.jobs.tasks: At 22
2026-11-26 23:31:29,619 INFO tests.jobs.tasks: At 23
2026-11-26 23:31:29,719 INFO tests.jobs.tasks: At 24
','25','','','2026-11-26 23:31:27.304869','finished','2026-11-26 23:31:26.104000',NULL,13);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(11,'comes too late',1,NULL,'2026-11-26 23:31:27.325813','',0,'','It could not start within its start deadline of 2 s.','',NULL,'','','2026-11-26 23:31:27.327737','missed','2026-11-26 23:31:06.623000',NULL,3);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(12,'comes too late',1,NULL,'2026-11-26 23:31:27.325813','',0,'','It could not start within its start deadline of 2 s.','',NULL,'','','2026-11-26 23:31:27.327789','missed','2026-11-26 23:31:07.623000',NULL,3);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(13,'comes too late',1,NULL,'2026-11-26 23:31:27.325813','',0,'','It could not start within its start deadline of 2 s.','',NULL,'','','2026-11-26 23:31:27.327826','missed','2026-11-26 23:31:08.623000',NULL,3);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(14,'misses all',1,'2026-11-26 23:31:41.607812','2026-11-26 23:31:41.609445','worker-2',100,'','','','42','','','2026-11-26 23:31:27.327857','finished','2026-11-26 23:31:06.623000','2026-11-26 23:31:41.592642',1);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(15,'misses all',1,'2026-11-26 23:31:41.624097','2026-11-26 23:31:41.625418','worker-2',100,'','','','42','','','2026-11-26 23:31:27.327899','finished','2026-11-26 23:31:07.623000','2026-11-26 23:31:41.592642',1);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(16,'misses all',1,NULL,'2026-11-26 23:31:27.326889','',0,'','It could not be dispatched in time (catch-up: none).','',NULL,'','','2026-11-26 23:31:27.327944','missed','2026-11-26 23:31:08.623000',NULL,1);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(17,'misses all',1,NULL,'2026-11-26 23:31:27.326889','',0,'','It could not be dispatched in time (catch-up: none).','',NULL,'','','2026-11-26 23:31:27.327988','missed','2026-11-26 23:31:09.623000',NULL,1);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(18,'misses all',1,NULL,'2026-11-26 23:31:27.326889','',0,'','It could not be dispatched in time (catch-up: none).','',NULL,'','','2026-11-26 23:31:27.328029','missed','2026-11-26 23:31:10.623000',NULL,1);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(19,'misses all but the newest',1,NULL,'2026-11-26 23:31:27.327178','',0,'','It could not be dispatched in time (catch-up: latest).','',NULL,'','','2026-11-26 23:31:27.328071','missed','2026-11-26 23:31:06.623000',NULL,2);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(20,'misses all but the newest',1,NULL,'2026-11-26 23:31:27.327178','',0,'','It could not be dispatched in time (catch-up: latest).','',NULL,'','','2026-11-26 23:31:27.328113','missed','2026-11-26 23:31:07.623000',NULL,2);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(21,'misses all but the newest',1,NULL,'2026-11-26 23:31:27.327178','',0,'','It could not be dispatched in time (catch-up: latest).','',NULL,'','','2026-11-26 23:31:27.328155','missed','2026-11-26 23:31:08.623000',NULL,2);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(22,'misses all but the newest',1,NULL,'2026-11-26 23:31:27.327178','',0,'','It could not be dispatched in time (catch-up: latest).','',NULL,'','','2026-11-26 23:31:27.328196','missed','2026-11-26 23:31:09.623000',NULL,2);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(23,'waits for what overlaps',1,'2026-11-26 23:31:27.348358','2026-11-26 23:31:28.567359','worker-2',100,'at 11','','2026-11-26 23:31:27,353 INFO tests.jobs.tasks: At 0
2026-11-26 23:31:27,454 INFO tests.jobs.tasks: At 1
2026-11-26 23:31:27,557 INFO tests.jobs.tasks: At 2
2026-11-26 23:31:27,661 INFO tests.jobs.tasks: At 3
2026-11-26 23:31:27,761 INFO tests.jobs.tasks: At 4
2026-11-26 23:31:27,861 INFO tests.jobs.tasks: At 5
2026-11-26 23:31:27,962 INFO tests.jobs.tasks: At 6
2026-11-26 23:31:28,065 INFO tests.jobs.tasks: At 7
2026-11-26 23:31:28,165 INFO tests.jobs.tasks: At 8
2026-11-26 23:31:28,266 INFO tests.jobs.tasks: At 9
2026-11-26 23:31:28,366 INFO tests.jobs.tasks: At 10
2026-11-26 23:31:28,466 INFO tests.jobs.tasks: At 11
','12','','','2026-11-26 23:31:27.348358','finished','2026-11-26 23:31:24.134000',NULL,14);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(36,'waits for what overlaps',1,'2026-11-26 23:31:28.573328','2026-11-26 23:31:29.785127','worker-2',100,'at 11','','2026-11-26 23:31:28,573 INFO tests.jobs.tasks: At 0
2026-11-26 23:31:28,681 INFO tests.jobs.tasks: At 1
2026-11-26 23:31:28,781 INFO tests.jobs.tasks: At 2
2026-11-26 23:31:28,881 INFO tests.jobs.tasks: At 3
2026-11-26 23:31:28,982 INFO tests.jobs.tasks: At 4
2026-11-26 23:31:29,082 INFO tests.jobs.tasks: At 5
2026-11-26 23:31:29,182 INFO tests.jobs.tasks: At 6
2026-11-26 23:31:29,282 INFO tests.jobs.tasks: At 7
2026-11-26 23:31:29,383 INFO tests.jobs.tasks: At 8
2026-11-26 23:31:29,483 INFO tests.jobs.tasks: At 9
2026-11-26 23:31:29,584 INFO tests.jobs.tasks: At 10
2026-11-26 23:31:29,684 INFO tests.jobs.tasks: At 11
','12','','','2026-11-26 23:31:28.573328','finished','2026-11-26 23:31:25.134000',NULL,14);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(37,'paused',1,NULL,'2026-11-26 23:31:29.451505','',0,'','The schedule was paused or cancelled before it could run.','',NULL,'','','2026-11-26 23:31:29.451796','missed','2026-11-26 23:31:24.245000',NULL,15);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(38,'paused',1,NULL,'2026-11-26 23:31:29.451597','',0,'','The schedule was paused or cancelled before it could run.','',NULL,'','','2026-11-26 23:31:29.451831','missed','2026-11-26 23:31:26.245000',NULL,15);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(39,'paused',1,NULL,'2026-11-26 23:31:29.451617','',0,'','The schedule was paused or cancelled before it could run.','',NULL,'','','2026-11-26 23:31:29.451858','missed','2026-11-26 23:31:28.245000',NULL,15);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(40,'cancelled',1,NULL,'2026-11-26 23:31:29.456634','',0,'','The schedule was paused or cancelled before it could run.','',NULL,'','','2026-11-26 23:31:29.456826','missed','2026-11-26 23:31:24.310000',NULL,16);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(41,'cancelled',1,NULL,'2026-11-26 23:31:29.456673','',0,'','The schedule was paused or cancelled before it could run.','',NULL,'','','2026-11-26 23:31:29.456858','missed','2026-11-26 23:31:26.310000',NULL,16);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(42,'cancelled',1,NULL,'2026-11-26 23:31:29.456692','',0,'','The schedule was paused or cancelled before it could run.','',NULL,'','','2026-11-26 23:31:29.456885','missed','2026-11-26 23:31:28.310000',NULL,16);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(43,'edited',1,NULL,'2026-11-26 23:31:29.476566','',0,'','The schedule was changed before it could run.','',NULL,'','','2026-11-26 23:31:29.476799','missed','2026-11-26 23:31:24.375000',NULL,17);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(44,'edited',1,NULL,'2026-11-26 23:31:29.476623','',0,'','The schedule was changed before it could run.','',NULL,'','','2026-11-26 23:31:29.476832','missed','2026-11-26 23:31:26.375000',NULL,17);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(45,'edited',1,NULL,'2026-11-26 23:31:29.476642','',0,'','The schedule was changed before it could run.','',NULL,'','','2026-11-26 23:31:29.476860','missed','2026-11-26 23:31:28.375000',NULL,17);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(46,'waits for what overlaps',1,'2026-11-26 23:31:29.790107','2026-11-26 23:31:30.998826','worker-2',100,'at 11','','2026-11-26 23:31:29,790 INFO tests.jobs.tasks: At 0
2026-11-26 23:31:29,890 INFO tests.jobs.tasks: At 1
2026-11-26 23:31:29,991 INFO tests.jobs.tasks: At 2
2026-11-26 23:31:30,091 INFO tests.jobs.tasks: At 3
2026-11-26 23:31:30,191 INFO tests.jobs.tasks: At 4
2026-11-26 23:31:30,291 INFO tests.jobs.tasks: At 5
2026-11-26 23:31:30,392 INFO tests.jobs.tasks: At 6
2026-11-26 23:31:30,493 INFO tests.jobs.tasks: At 7
2026-11-26 23:31:30,597 INFO tests.jobs.tasks: At 8
2026-11-26 23:31:30,697 INFO tests.jobs.tasks: At 9
2026-11-26 23:31:30,797 INFO tests.jobs.tasks: At 10
2026-11-26 23:31:30,898 INFO tests.jobs.tasks: At 11
','12','','','2026-11-26 23:31:29.790107','finished','2026-11-26 23:31:26.134000',NULL,14);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(47,'skips what overlaps',1,'2026-11-26 23:31:29.874318','2026-11-26 23:31:32.927219','worker-1',100,'at 29','','2026-11-26 23:31:29,874 INFO tests.jobs.tasks: At 0
2026-11-26 23:31:29,975 INFO tests.jobs.tasks: At 1
2026-11-26 23:31:30,075 INFO tests.jobs.tasks: At 2
2026-11-26 23:31:30,175 INFO tests.jobs.tasks: At 3
2026-11-26 23:31:30,276 INFO tests.jobs.tasks: At 4
2026-11-26 23:31:30,376 INFO tests.jobs.tasks: At 5
2026-11-26 23:31:30,476 INFO tests.jobs.tasks: At 6
2026-11-26 23:31:30,577 INFO tests.jobs.tasks: At 7
2026-11-26 23:31:30,677 INFO tests.jobs.tasks: At 8
2026-11-26 23:31:30,777 INFO tests.jobs.tasks: At 9
2026-11-26 23:31:30,877 INFO tests.jobs.tasks: At 10
2026-11-26 23:31:30,978 INFO tests.jobs.tasks: At 11
2026-11-26 23:31:31,097 INFO tests.jobs.tasks: At 12
2026-11-26 23:31:31,199 INFO tests.jobs.tasks: At 13
2026-11-26 23:31:31,299 INFO tests.jobs.tasks: At 14
2026-11-26 23:31:31,400 INFO tests.jobs.tasks: At 15
2026-11-26 23:31:31,500 INFO tests.jobs.tasks: At 16
2026-11-26 23:31:31,600 INFO tests.jobs.tasks: At 17
2026-11-26 23:31:31,702 INFO tests.jobs.tasks: At 18
2026-11-26 23:31:31,803 INFO tests.jobs.tasks: At 19
2026-11-26 23:31:31,903 INFO tests.jobs.tasks: At 20
2026-11-26 23:31:32,003 INFO tests.jobs.tasks: At 21
2026-11-26 23:31:32,104 INFO tests.jobs.tasks: At 22
2026-11-26 23:31:32,206 INFO tests.jobs.tasks: At 23
2026-11-26 23:31:32,319 INFO tests.jobs.tasks: At 24
2026-11-26 23:31:32,425 INFO tests.jobs.tasks: At 25
2026-11-26 23:31:32,525 INFO tests.jobs.tasks: At 26
2026-11-26 23:31:32,626 INFO tests.jobs.tasks: At 27
2026-11-26 23:31:32,726 INFO tests.jobs.tasks: At 28
2026-11-26 23:31:32,826 INFO tests.jobs.tasks: At 29
','30','','','2026-11-26 23:31:29.874318','finished','2026-11-26 23:31:25',NULL,12);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(48,'skips what overlaps',1,NULL,'2026-11-26 23:31:31.021339','',0,'','The run of 2026-11-26 23:31:25 UTC was still going.','',NULL,'','','2026-11-26 23:31:31.021901','skipped','2026-11-26 23:31:26',NULL,12);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(49,'skips what overlaps',1,NULL,'2026-11-26 23:31:31.030977','',0,'','The run of 2026-11-26 23:31:25 UTC was still going.','',NULL,'','','2026-11-26 23:31:31.031195','skipped','2026-11-26 23:31:27',NULL,12);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(50,'misses all but the newest',1,'2026-11-26 23:31:31.037392','2026-11-26 23:31:31.038858','worker-2',100,'','','','42','','','2026-11-26 23:31:31.037392','finished','2026-11-26 23:31:10.623000',NULL,2);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(51,'skips what overlaps',1,NULL,'2026-11-26 23:31:31.069599','',0,'','The run of 2026-11-26 23:31:25 UTC was still going.','',NULL,'','','2026-11-26 23:31:31.070065','skipped','2026-11-26 23:31:28',NULL,12);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(52,'five times',1,'2026-11-26 23:31:31.097785','2026-11-26 23:31:31.098976','worker-2',100,'','','','42','','','2026-11-26 23:31:31.097785','finished','2026-11-26 23:31:28.058000',NULL,11);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(53,'replaces what overlaps',1,'2026-11-26 23:31:31.101863','2026-11-26 23:31:33.629516','worker-2',100,'at 24','','2026-11-26 23:31:31,102 INFO tests.jobs.tasks: At 0
2026-11-26 23:31:31,202 INFO tests.jobs.tasks: At 1
2026-11-26 23:31:31,303 INFO tests.jobs.tasks: At 2
2026-11-26 23:31:31,403 INFO tests.jobs.tasks: At 3
2026-11-26 23:31:31,503 INFO tests.jobs.tasks: At 4
2026-11-26 23:31:31,604 INFO tests.jobs.tasks: At 5
2026-11-26 23:31:31,704 INFO tests.jobs.tasks: At 6
2026-11-26 23:31:31,804 INFO tests.jobs.tasks: At 7
2026-11-26 23:31:31,905 INFO tests.jobs.tasks: At 8
2026-11-26 23:31:32,005 INFO tests.jobs.tasks: At 9
2026-11-26 23:31:32,105 INFO tests.jobs.tasks: At 10
2026-11-26 23:31:32,206 INFO tests.jobs.tasks: At 11
2026-11-26 23:31:32,319 INFO tests.jobs.tasks: At 12
2026-11-26 23:31:32,425 INFO tests.jobs.tasks: At 13
2026-11-26 23:31:32,525 INFO tests.jobs.tasks: At 14
2026-11-26 23:31:32,625 INFO tests.jobs.tasks: At 15
2026-11-26 23:31:32,726 INFO tests.jobs.tasks: At 16
2026-11-26 23:31:32,826 INFO tests.jobs.tasks: At 17
2026-11-26 23:31:32,926 INFO tests.jobs.tasks: At 18
2026-11-26 23:31:33,027 INFO tests.jobs.tasks: At 19
2026-11-26 23:31:33,127 INFO tests.jobs.tasks: At 20
2026-11-26 23:31:33,227 INFO tests.jobs.tasks: At 21
2026-11-26 23:31:33,328 INFO tests.jobs.tasks: At 22
2026-11-26 23:31:33,428 INFO tests.jobs.tasks: At 23
2026-11-26 23:31:33,528 INFO tests.jobs.tasks: At 24
','25','','','2026-11-26 23:31:31.101863','finished','2026-11-26 23:31:28.104000',NULL,13);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(54,'skips what overlaps',1,'2026-11-26 23:31:32.965278','2026-11-26 23:31:35.978856','worker-1',100,'at 29','','2026-11-26 23:31:32,965 INFO tests.jobs.tasks: At 0
2026-11-26 23:31:33,065 INFO tests.jobs.tasks: At 1
2026-11-26 23:31:33,166 INFO tests.jobs.tasks: At 2
2026-11-26 23:31:33,266 INFO tests.jobs.tasks: At 3
2026-11-26 23:31:33,366 INFO tests.jobs.tasks: At 4
2026-11-26 23:31:33,467 INFO tests.jobs.tasks: At 5
2026-11-26 23:31:33,567 INFO tests.jobs.tasks: At 6
2026-11-26 23:31:33,667 INFO tests.jobs.tasks: At 7
2026-11-26 23:31:33,767 INFO tests.jobs.tasks: At 8
2026-11-26 23:31:33,868 INFO tests.jobs.tasks: At 9
2026-11-26 23:31:33,969 INFO tests.jobs.tasks: At 10
2026-11-26 23:31:34,070 INFO tests.jobs.tasks: At 11
2026-11-26 23:31:34,171 INFO tests.jobs.tasks: At 12
2026-11-26 23:31:34,271 INFO tests.jobs.tasks: At 13
2026-11-26 23:31:34,371 INFO tests.jobs.tasks: At 14
2026-11-26 23:31:34,472 INFO tests.jobs.tasks: At 15
2026-11-26 23:31:34,573 INFO tests.jobs.tasks: At 16
2026-11-26 23:31:34,673 INFO tests.jobs.tasks: At 17
2026-11-26 23:31:34,773 INFO tests.jobs.tasks: At 18
2026-11-26 23:31:34,874 INFO tests.jobs.tasks: At 19
2026-11-26 23:31:34,974 INFO tests.jobs.tasks: At 20
2026-11-26 23:31:35,074 INFO tests.jobs.tasks: At 21
2026-11-26 23:31:35,175 INFO tests.jobs.tasks: At 22
2026-11-26 23:31:35,275 INFO tests.jobs.tasks: At 23
2026-11-26 23:31:35,376 INFO tests.jobs.tasks: At 24
2026-11-26 23:31:35,476 INFO tests.jobs.tasks: At 25
2026-11-26 23:31:35,576 INFO tests.jobs.tasks: At 26
2026-11-26 23:31:35,677 INFO tests.jobs.tasks: At 27
2026-11-26 23:31:35,777 INFO tests.jobs.tasks: At 28
2026-11-26 23:31:35,878 INFO tests.jobs.tasks: At 29
','30','','','2026-11-26 23:31:32.965278','finished','2026-11-26 23:31:29',NULL,12);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(55,'edited',1,NULL,'2026-11-26 23:31:33.487223','',0,'','The schedule was paused or cancelled before it could run.','',NULL,'','','2026-11-26 23:31:33.487521','missed','2026-11-26 23:31:30.375000',NULL,17);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(56,'edited',1,NULL,'2026-11-26 23:31:33.487293','',0,'','The schedule was paused or cancelled before it could run.','',NULL,'','','2026-11-26 23:31:33.487557','missed','2026-11-26 23:31:33.375000',NULL,17);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(57,'skips what overlaps',1,NULL,'2026-11-26 23:31:33.641939','',0,'','The run of 2026-11-26 23:31:29 UTC was still going.','',NULL,'','','2026-11-26 23:31:33.642261','skipped','2026-11-26 23:31:30',NULL,12);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(58,'edited',1,'2026-11-26 23:31:39.397761','2026-11-26 23:31:39.399364','worker-1',100,'','','','42','','','2026-11-26 23:31:39.397962','finished','2026-11-26 23:31:39.375000',NULL,17);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(59,'edited',1,'2026-11-26 23:31:40.579915','2026-11-26 23:31:40.583869','worker-2',100,'','','','42','','','2026-11-26 23:31:40.580047','finished','2026-11-26 23:31:40.511000',NULL,17);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(60,'paused',1,'2026-11-26 23:31:40.590631','2026-11-26 23:31:40.591680','worker-2',100,'','','','42','','','2026-11-26 23:31:40.590759','finished',NULL,'2026-11-26 23:31:40.558000',15);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(61,'every 30 days',1,'2026-11-26 23:31:40.601232','2026-11-26 23:31:40.602221','worker-2',100,'','','','42','','','2026-11-26 23:31:40.601378','finished',NULL,'2026-11-26 23:31:40.577000',8);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(62,'lost its worker',1,'2026-11-26 23:31:50.018568',NULL,'worker-3',60,'at 24','','2026-11-26 23:31:50,029 INFO tests.jobs.tasks: At 0
2026-11-26 23:31:50,130 INFO tests.jobs.tasks: At 1
2026-11-26 23:31:50,233 INFO tests.jobs.tasks: At 2
2026-11-26 23:31:50,333 INFO tests.jobs.tasks: At 3
2026-11-26 23:31:50,434 INFO tests.jobs.tasks: At 4
2026-11-26 23:31:50,537 INFO tests.jobs.tasks: At 5
2026-11-26 23:31:50,637 INFO tests.jobs.tasks: At 6
2026-11-26 23:31:50,737 INFO tests.jobs.tasks: At 7
2026-11-26 23:31:50,838 INFO tests.jobs.tasks: At 8
2026-11-26 23:31:50,938 INFO tests.jobs.tasks: At 9
2026-11-26 23:31:51,039 INFO tests.jobs.tasks: At 10
2026-11-26 23:31:51,139 INFO tests.jobs.tasks: At 11
2026-11-26 23:31:51,239 INFO tests.jobs.tasks: At 12
2026-11-26 23:31:51,339 INFO tests.jobs.tasks: At 13
2026-11-26 23:31:51,440 INFO tests.jobs.tasks: At 14
2026-11-26 23:31:51,540 INFO tests.jobs.tasks: At 15
2026-11-26 23:31:51,640 INFO tests.jobs.tasks: At 16
2026-11-26 23:31:51,741 INFO tests.jobs.tasks: At 17
2026-11-26 23:31:51,841 INFO tests.jobs.tasks: At 18
2026-11-26 23:31:51,942 INFO tests.jobs.tasks: At 19
',NULL,'','','2026-11-26 23:31:50.018568','running','2026-11-26 23:31:47.793000',NULL,20);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(63,'its end is on the spool',1,'2026-11-26 23:31:50.224384',NULL,'worker-4',60,'at 24','','2026-11-26 23:31:50,238 INFO tests.jobs.tasks: At 0
2026-11-26 23:31:50,338 INFO tests.jobs.tasks: At 1
2026-11-26 23:31:50,439 INFO tests.jobs.tasks: At 2
2026-11-26 23:31:50,539 INFO tests.jobs.tasks: At 3
2026-11-26 23:31:50,639 INFO tests.jobs.tasks: At 4
2026-11-26 23:31:50,745 INFO tests.jobs.tasks: At 5
2026-11-26 23:31:50,845 INFO tests.jobs.tasks: At 6
2026-11-26 23:31:50,945 INFO tests.jobs.tasks: At 7
2026-11-26 23:31:51,046 INFO tests.jobs.tasks: At 8
2026-11-26 23:31:51,146 INFO tests.jobs.tasks: At 9
2026-11-26 23:31:51,247 INFO tests.jobs.tasks: At 10
2026-11-26 23:31:51,348 INFO tests.jobs.tasks: At 11
2026-11-26 23:31:51,448 INFO tests.jobs.tasks: At 12
2026-11-26 23:31:51,548 INFO tests.jobs.tasks: At 13
2026-11-26 23:31:51,649 INFO tests.jobs.tasks: At 14
2026-11-26 23:31:51,749 INFO tests.jobs.tasks: At 15
2026-11-26 23:31:51,850 INFO tests.jobs.tasks: At 16
2026-11-26 23:31:51,950 INFO tests.jobs.tasks: At 17
2026-11-26 23:31:52,050 INFO tests.jobs.tasks: At 18
2026-11-26 23:31:52,150 INFO tests.jobs.tasks: At 19
',NULL,'','','2026-11-26 23:31:50.224384','running','2026-11-26 23:31:47.809000',NULL,21);
CREATE TABLE "tasks_scheduleperiod" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "kind" varchar(16) NOT NULL, "spec" text NULL CHECK ((JSON_VALID("spec") OR "spec" IS NULL)), "note" text NOT NULL, "start" datetime NOT NULL, "end" datetime NOT NULL, "parent_id" bigint NOT NULL REFERENCES "tasks_scheduledtask" ("id") DEFERRABLE INITIALLY DEFERRED, CONSTRAINT "period_spec_of_its_kind" CHECK ((("kind" = 'active' AND "spec" IS NOT NULL) OR ("kind" IN ('paused', 'death') AND "spec" IS NULL))), CONSTRAINT "period_closed" CHECK ("end" >= ("start")));
INSERT INTO "tasks_scheduleperiod" VALUES(1,'active','{"first": "2026-11-26T23:31:06.623000+00:00", "interval": 1, "cron": null, "timezone": "UTC", "repeat": null, "start": null, "end": "2026-11-26T23:31:08.623193+00:00"}','','2026-11-26 23:31:06.622999','2026-11-26 23:31:27.625810',3);
INSERT INTO "tasks_scheduleperiod" VALUES(2,'active','{"first": "2026-11-26T23:31:06.623000+00:00", "interval": 1, "cron": null, "timezone": "UTC", "repeat": null, "start": null, "end": "2026-11-26T23:31:10.623193+00:00"}','','2026-11-26 23:31:06.622999','2026-11-26 23:31:27.631809',1);
INSERT INTO "tasks_scheduleperiod" VALUES(3,'active','{"first": "2026-11-26T23:31:23.910000+00:00", "interval": null, "cron": null, "timezone": "UTC", "repeat": null, "start": null, "end": null}','','2026-11-26 23:31:23.909999','2026-11-26 23:31:27.636816',7);
INSERT INTO "tasks_scheduleperiod" VALUES(4,'active','{"first": "2026-11-26T23:31:24.245000+00:00", "interval": 2, "cron": null, "timezone": "UTC", "repeat": null, "start": null, "end": null}','','2026-11-26 23:31:24.244999','2026-11-26 23:31:29.450684',15);
INSERT INTO "tasks_scheduleperiod" VALUES(5,'active','{"first": "2026-11-26T23:31:24.310000+00:00", "interval": 2, "cron": null, "timezone": "UTC", "repeat": null, "start": null, "end": null}','','2026-11-26 23:31:24.309999','2026-11-26 23:31:29.456158',16);
INSERT INTO "tasks_scheduleperiod" VALUES(6,'active','{"first": "2026-11-26T23:31:24.375000+00:00", "interval": 2, "cron": null, "timezone": "UTC", "repeat": null, "start": null, "end": null}','','2026-11-26 23:31:24.374999','2026-11-26 23:31:29.475918',17);
INSERT INTO "tasks_scheduleperiod" VALUES(7,'active','{"first": "2026-11-26T23:31:06.623000+00:00", "interval": 1, "cron": null, "timezone": "UTC", "repeat": null, "start": null, "end": "2026-11-26T23:31:10.623193+00:00"}','','2026-11-26 23:31:06.622999','2026-11-26 23:31:32.675864',2);
INSERT INTO "tasks_scheduleperiod" VALUES(8,'active','{"first": "2026-11-26T23:31:24.134000+00:00", "interval": 1, "cron": null, "timezone": "UTC", "repeat": null, "start": null, "end": "2026-11-26T23:31:26.134984+00:00"}','','2026-11-26 23:31:24.133999','2026-11-26 23:31:32.680383',14);
INSERT INTO "tasks_scheduleperiod" VALUES(9,'active','{"first": "2026-11-26T23:31:24.375000+00:00", "interval": 3, "cron": null, "timezone": "UTC", "repeat": null, "start": null, "end": null}','','2026-11-26 23:31:29.475920','2026-11-26 23:31:33.486195',17);
INSERT INTO "tasks_scheduleperiod" VALUES(10,'active','{"first": "2026-11-26T23:31:24.058000+00:00", "interval": 1, "cron": null, "timezone": "UTC", "repeat": 5, "start": null, "end": null}','','2026-11-26 23:31:24.057999','2026-11-26 23:31:33.698175',11);
INSERT INTO "tasks_scheduleperiod" VALUES(11,'active','{"first": "2026-11-26T23:31:24.104000+00:00", "interval": 2, "cron": null, "timezone": "UTC", "repeat": null, "start": null, "end": "2026-11-26T23:31:29.104669+00:00"}','','2026-11-26 23:31:24.103999','2026-11-26 23:31:33.702244',13);
INSERT INTO "tasks_scheduleperiod" VALUES(12,'paused',NULL,'','2026-11-26 23:31:33.486195','2026-11-26 23:31:36.492938',17);
INSERT INTO "tasks_scheduleperiod" VALUES(13,'active','{"first": null, "interval": null, "cron": "* * * * * *", "timezone": "UTC", "repeat": null, "start": null, "end": "2026-11-26T23:31:30.082119+00:00"}','','2026-11-26 23:31:24.099328','2026-11-26 23:31:37.782439',12);
INSERT INTO "tasks_scheduleperiod" VALUES(14,'active','{"first": "2026-11-26T23:31:24.375000+00:00", "interval": 3, "cron": null, "timezone": "UTC", "repeat": null, "start": null, "end": null}','','2026-11-26 23:31:36.492938','2026-11-26 23:31:40.523595',17);
INSERT INTO "tasks_scheduleperiod" VALUES(15,'active','{"first": null, "interval": null, "cron": "0 6 1 1 *", "timezone": "Europe/Berlin", "repeat": null, "start": null, "end": null}','','2026-11-26 23:31:44.541944','2026-11-26 23:31:44.554036',18);
CREATE TABLE "tasks_task" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "name" varchar(200) NOT NULL, "failed" bool GENERATED ALWAYS AS (CASE WHEN "status" = 'failed' THEN 1 ELSE 0 END) STORED, "attempt" smallint unsigned NOT NULL CHECK ("attempt" >= 0), "started" datetime NULL, "ended" datetime NULL, "worker_name" varchar(200) NOT NULL, "progress" smallint unsigned NOT NULL CHECK ("progress" >= 0), "progress_message" varchar(200) NOT NULL, "reason" varchar(500) NOT NULL, "log" text NOT NULL, "result" text NULL CHECK ((JSON_VALID("result") OR "result" IS NULL)), "exception_class" varchar(200) NOT NULL, "traceback" text NOT NULL, "created" datetime NOT NULL, "job_id" varchar(64) NOT NULL UNIQUE, "function" varchar(200) NOT NULL, "args" text NOT NULL CHECK ((JSON_VALID("args") OR "args" IS NULL)), "kwargs" text NOT NULL CHECK ((JSON_VALID("kwargs") OR "kwargs" IS NULL)), "queue" varchar(64) NOT NULL, "timeout" integer unsigned NULL CHECK ("timeout" >= 0), "status" varchar(16) NOT NULL, "reserved_for" datetime NULL, CONSTRAINT "task_times_of_its_status" CHECK ((("ended" IS NULL AND "started" IS NULL AND "status" = 'queued') OR ("ended" IS NULL AND "reserved_for" IS NOT NULL AND "started" IS NULL AND "status" = 'reserved') OR ("ended" IS NULL AND "started" IS NOT NULL AND "status" = 'running') OR ("ended" IS NOT NULL AND "started" IS NOT NULL AND "status" = 'finished') OR ("ended" IS NOT NULL AND "status" IN ('failed', 'canceled')))), CONSTRAINT "task_numbers_in_bounds" CHECK (("attempt" >= 1 AND "progress" >= 0 AND "progress" <= 100)));
INSERT INTO "tasks_task" VALUES(1,'tests.jobs.count',1,'2026-11-26 23:31:26.775685','2026-11-26 23:31:27.193787','worker-2',100,'at 2','','2026-11-26 23:31:26,873 INFO tests.jobs.tasks: At 0
2026-11-26 23:31:26,989 INFO tests.jobs.tasks: At 1
2026-11-26 23:31:27,093 INFO tests.jobs.tasks: At 2
','3','','','2026-11-26 23:31:24.171097','task-675d97222250419e8282b0e66963562e','tests.jobs.count','[3, 0.1]','{}','default',NULL,'finished',NULL);
INSERT INTO "tasks_task" VALUES(2,'tests.jobs.end_by',1,'2026-11-26 23:31:26.988149','2026-11-26 23:31:27.006741','worker-1',0,'','Failed for: ValueError: as asked','Failed for: ValueError: as asked
',NULL,'builtins.ValueError','Traceback (most recent call last):
  File "tasks/recording.py", line 415, in run
    result = _call(func, args, kwargs, deadline)
             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "tasks/recording.py", line 563, in _call
    result = func(*args, **kwargs)
             ^^^^^^^^^^^^^^^^^^^^^
  File "tests/jobs/tasks.py", line 67, in end_by
    return WAYS[how]()
           ^^^^^^^^^^^
  File "tests/jobs/tasks.py", line 76, in _raise
    raise ValueError("as asked")
ValueError: as asked
','2026-11-26 23:31:24.189484','task-cf31f5e9177b40ad9f74d8ee267b5bea','tests.jobs.end_by','["raise"]','{}','default',1,'failed',NULL);
INSERT INTO "tasks_task" VALUES(3,'tests.jobs.answer',1,NULL,NULL,'',0,'','','',NULL,'','','2026-11-26 23:31:24.197721','task-cae6fe3a390a4955a4c4108461a7b848','tests.jobs.answer','[]','{}','default',NULL,'reserved','2099-01-01 00:00:00');
INSERT INTO "tasks_task" VALUES(4,'tests.jobs.answer',1,NULL,'2026-11-26 23:31:24.241261','',0,'','Cancelled on request.','',NULL,'','','2026-11-26 23:31:24.219238','task-e9abd68fbc804adbb61e923b6ebd9925','tests.jobs.answer','[]','{}','default',NULL,'canceled','2099-01-01 00:00:00');
INSERT INTO "tasks_task" VALUES(5,'tests.jobs.count',1,'2026-11-26 23:31:50.260338',NULL,'worker-5',60,'at 24','','2026-11-26 23:31:50,270 INFO tests.jobs.tasks: At 0
2026-11-26 23:31:50,371 INFO tests.jobs.tasks: At 1
2026-11-26 23:31:50,471 INFO tests.jobs.tasks: At 2
2026-11-26 23:31:50,572 INFO tests.jobs.tasks: At 3
2026-11-26 23:31:50,672 INFO tests.jobs.tasks: At 4
2026-11-26 23:31:50,772 INFO tests.jobs.tasks: At 5
2026-11-26 23:31:50,873 INFO tests.jobs.tasks: At 6
2026-11-26 23:31:50,973 INFO tests.jobs.tasks: At 7
2026-11-26 23:31:51,073 INFO tests.jobs.tasks: At 8
2026-11-26 23:31:51,174 INFO tests.jobs.tasks: At 9
2026-11-26 23:31:51,274 INFO tests.jobs.tasks: At 10
2026-11-26 23:31:51,375 INFO tests.jobs.tasks: At 11
2026-11-26 23:31:51,475 INFO tests.jobs.tasks: At 12
2026-11-26 23:31:51,575 INFO tests.jobs.tasks: At 13
2026-11-26 23:31:51,676 INFO tests.jobs.tasks: At 14
2026-11-26 23:31:51,776 INFO tests.jobs.tasks: At 15
2026-11-26 23:31:51,876 INFO tests.jobs.tasks: At 16
2026-11-26 23:31:51,977 INFO tests.jobs.tasks: At 17
2026-11-26 23:31:52,077 INFO tests.jobs.tasks: At 18
2026-11-26 23:31:52,177 INFO tests.jobs.tasks: At 19
',NULL,'','','2026-11-26 23:31:47.822721','task-a9d1bdeaba73427bb9f0486b9f5165e8','tests.jobs.count','[40, 0.1]','{}','default',NULL,'running',NULL);
INSERT INTO "tasks_task" VALUES(6,'tests.jobs.count',1,NULL,NULL,'',0,'','','',NULL,'','','2026-11-26 23:31:52.817999','task-ceeda60c4d9c46d9a3c812fa8b70f99d','tests.jobs.count','[2, 0.1]','{}','default',NULL,'queued',NULL);
CREATE UNIQUE INDEX "auth_group_permissions_group_id_permission_id_0cd325b0_uniq" ON "auth_group_permissions" ("group_id", "permission_id");
CREATE INDEX "auth_group_permissions_group_id_b120cbf9" ON "auth_group_permissions" ("group_id");
CREATE INDEX "auth_group_permissions_permission_id_84c5c92e" ON "auth_group_permissions" ("permission_id");
CREATE UNIQUE INDEX "auth_user_groups_user_id_group_id_94350c0c_uniq" ON "auth_user_groups" ("user_id", "group_id");
CREATE INDEX "auth_user_groups_user_id_6a12ed8b" ON "auth_user_groups" ("user_id");
CREATE INDEX "auth_user_groups_group_id_97559544" ON "auth_user_groups" ("group_id");
CREATE UNIQUE INDEX "auth_user_user_permissions_user_id_permission_id_14a6b632_uniq" ON "auth_user_user_permissions" ("user_id", "permission_id");
CREATE INDEX "auth_user_user_permissions_user_id_a95ead1b" ON "auth_user_user_permissions" ("user_id");
CREATE INDEX "auth_user_user_permissions_permission_id_1fbb5f2c" ON "auth_user_user_permissions" ("permission_id");
CREATE INDEX "django_admin_log_content_type_id_c4bce8eb" ON "django_admin_log" ("content_type_id");
CREATE INDEX "django_admin_log_user_id_c564eba6" ON "django_admin_log" ("user_id");
CREATE UNIQUE INDEX "django_content_type_app_label_model_76bd3d3b_uniq" ON "django_content_type" ("app_label", "model");
CREATE UNIQUE INDEX "auth_permission_content_type_id_codename_01ab375a_uniq" ON "auth_permission" ("content_type_id", "codename");
CREATE INDEX "auth_permission_content_type_id_2f476e4b" ON "auth_permission" ("content_type_id");
CREATE INDEX "task_newest_by_status" ON "tasks_task" ("status", "id" DESC);
CREATE INDEX "feeds_entry_feed_id_7b9830e7" ON "feeds_entry" ("feed_id");
CREATE INDEX "entry_newest" ON "feeds_entry" ("published" DESC, "id" DESC);
CREATE INDEX "entry_newest_of_feed" ON "feeds_entry" ("feed_id", "published" DESC, "id" DESC);
CREATE INDEX "django_session_expire_date_a5c62663" ON "django_session" ("expire_date");
CREATE INDEX "tasks_scheduledtask_calendar_id_9c56ba5c" ON "tasks_scheduledtask" ("calendar_id");
CREATE INDEX "schedule_to_look_at" ON "tasks_scheduledtask" ("status", "look_at");
CREATE INDEX "tasks_runrequest_parent_id_fb0d9417" ON "tasks_runrequest" ("parent_id");
CREATE UNIQUE INDEX "request_one_by_hand_per_moment" ON "tasks_runrequest" ("parent_id", "requested") WHERE "due" IS NULL;
CREATE INDEX "tasks_scheduleperiod_parent_id_31faeae3" ON "tasks_scheduleperiod" ("parent_id");
CREATE INDEX "period_newest" ON "tasks_scheduleperiod" ("parent_id", "end" DESC);
CREATE UNIQUE INDEX "run_one_per_request" ON "tasks_scheduledtaskinstance" ("parent_id", "requested") WHERE "due" IS NULL;
CREATE INDEX "run_newest_of_schedule" ON "tasks_scheduledtaskinstance" ("parent_id", "id" DESC);
CREATE INDEX "run_counts_of_schedule" ON "tasks_scheduledtaskinstance" ("parent_id", "status");
CREATE INDEX "run_newest_by_status" ON "tasks_scheduledtaskinstance" ("status", "id" DESC);
CREATE INDEX "run_newest_by_day" ON "tasks_scheduledtaskinstance" ("created" DESC);
CREATE INDEX "run_latest_ended" ON "tasks_scheduledtaskinstance" ("ended" DESC, "id" DESC) WHERE "ended" IS NOT NULL;
CREATE INDEX "run_newest_started" ON "tasks_scheduledtaskinstance" ("parent_id", "id" DESC) WHERE "started" IS NOT NULL;
CREATE INDEX "run_failed_to_retry" ON "tasks_scheduledtaskinstance" ("ended") WHERE "status" = 'failed';
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('django_migrations',26);
INSERT INTO "sqlite_sequence" VALUES('django_admin_log',1);
INSERT INTO "sqlite_sequence" VALUES('django_content_type',15);
INSERT INTO "sqlite_sequence" VALUES('auth_permission',57);
INSERT INTO "sqlite_sequence" VALUES('auth_group',0);
INSERT INTO "sqlite_sequence" VALUES('auth_user',1);
INSERT INTO "sqlite_sequence" VALUES('feeds_feed',1);
INSERT INTO "sqlite_sequence" VALUES('feeds_entry',3);
INSERT INTO "sqlite_sequence" VALUES('tasks_scheduledtask',21);
INSERT INTO "sqlite_sequence" VALUES('tasks_runrequest',7);
INSERT INTO "sqlite_sequence" VALUES('tasks_scheduleperiod',15);
INSERT INTO "sqlite_sequence" VALUES('tasks_scheduledtaskinstance',63);
INSERT INTO "sqlite_sequence" VALUES('tasks_calendar',1);
INSERT INTO "sqlite_sequence" VALUES('tasks_task',6);
COMMIT;
