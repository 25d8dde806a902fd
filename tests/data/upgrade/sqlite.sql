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
INSERT INTO "auth_user" VALUES(1,'!',NULL,1,'admin','','',1,1,'2026-11-26 23:18:00.211287','');
CREATE TABLE "auth_user_groups" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "user_id" integer NOT NULL REFERENCES "auth_user" ("id") DEFERRABLE INITIALLY DEFERRED, "group_id" integer NOT NULL REFERENCES "auth_group" ("id") DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE "auth_user_user_permissions" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "user_id" integer NOT NULL REFERENCES "auth_user" ("id") DEFERRABLE INITIALLY DEFERRED, "permission_id" integer NOT NULL REFERENCES "auth_permission" ("id") DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE "django_admin_log" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "object_id" text NULL, "object_repr" varchar(200) NOT NULL, "action_flag" smallint unsigned NOT NULL CHECK ("action_flag" >= 0), "change_message" text NOT NULL, "content_type_id" integer NULL REFERENCES "django_content_type" ("id") DEFERRABLE INITIALLY DEFERRED, "user_id" integer NOT NULL REFERENCES "auth_user" ("id") DEFERRABLE INITIALLY DEFERRED, "action_time" datetime NOT NULL);
INSERT INTO "django_admin_log" VALUES(1,'17','edited',1,'[{"added": {}}]',10,1,'2026-11-26 23:18:48.845933');
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
INSERT INTO "django_migrations" VALUES(1,'contenttypes','0001_initial','2026-11-26 23:17:59.582258');
INSERT INTO "django_migrations" VALUES(2,'auth','0001_initial','2026-11-26 23:17:59.600582');
INSERT INTO "django_migrations" VALUES(3,'admin','0001_initial','2026-11-26 23:17:59.612374');
INSERT INTO "django_migrations" VALUES(4,'admin','0002_logentry_remove_auto_add','2026-11-26 23:17:59.629029');
INSERT INTO "django_migrations" VALUES(5,'admin','0003_logentry_add_action_flag_choices','2026-11-26 23:17:59.636328');
INSERT INTO "django_migrations" VALUES(6,'contenttypes','0002_remove_content_type_name','2026-11-26 23:17:59.665998');
INSERT INTO "django_migrations" VALUES(7,'auth','0002_alter_permission_name_max_length','2026-11-26 23:17:59.677545');
INSERT INTO "django_migrations" VALUES(8,'auth','0003_alter_user_email_max_length','2026-11-26 23:17:59.688946');
INSERT INTO "django_migrations" VALUES(9,'auth','0004_alter_user_username_opts','2026-11-26 23:17:59.697882');
INSERT INTO "django_migrations" VALUES(10,'auth','0005_alter_user_last_login_null','2026-11-26 23:17:59.704372');
INSERT INTO "django_migrations" VALUES(11,'auth','0006_require_contenttypes_0002','2026-11-26 23:17:59.709115');
INSERT INTO "django_migrations" VALUES(12,'auth','0007_alter_validators_add_error_messages','2026-11-26 23:17:59.715212');
INSERT INTO "django_migrations" VALUES(13,'auth','0008_alter_user_username_max_length','2026-11-26 23:17:59.726457');
INSERT INTO "django_migrations" VALUES(14,'auth','0009_alter_user_last_name_max_length','2026-11-26 23:17:59.737144');
INSERT INTO "django_migrations" VALUES(15,'auth','0010_alter_group_name_max_length','2026-11-26 23:17:59.743246');
INSERT INTO "django_migrations" VALUES(16,'auth','0011_update_proxy_permissions','2026-11-26 23:17:59.754696');
INSERT INTO "django_migrations" VALUES(17,'auth','0012_alter_user_first_name_max_length','2026-11-26 23:17:59.765091');
INSERT INTO "django_migrations" VALUES(18,'django_rq','0001_initial','2026-11-26 23:17:59.766319');
INSERT INTO "django_migrations" VALUES(19,'django_rq','0002_delete_queue_create_dashboard','2026-11-26 23:17:59.777196');
INSERT INTO "django_migrations" VALUES(20,'django_rq','0003_alter_dashboard_permission_names','2026-11-26 23:17:59.787760');
INSERT INTO "django_migrations" VALUES(21,'tasks','0001_initial','2026-11-26 23:17:59.809655');
INSERT INTO "django_migrations" VALUES(22,'feeds','0001_initial','2026-11-26 23:17:59.868476');
INSERT INTO "django_migrations" VALUES(23,'sessions','0001_initial','2026-11-26 23:17:59.869976');
INSERT INTO "django_migrations" VALUES(24,'tasks','0002_calendars_exclusion_jitter','2026-11-26 23:17:59.912141');
INSERT INTO "django_migrations" VALUES(25,'tasks','0003_periods','2026-11-26 23:18:00.131340');
INSERT INTO "django_migrations" VALUES(26,'tasks','0004_fewer_indexes','2026-11-26 23:18:00.154742');
CREATE TABLE "django_session" ("session_key" varchar(40) NOT NULL PRIMARY KEY, "session_data" text NOT NULL, "expire_date" datetime NOT NULL);
CREATE TABLE "feeds_entry" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "guid" varchar(500) NOT NULL, "title" varchar(500) NOT NULL, "link" varchar(2000) NOT NULL, "author" varchar(500) NOT NULL, "summary" text NOT NULL, "content" text NOT NULL, "published" datetime NOT NULL, "updated" datetime NULL, "digest" varchar(64) NOT NULL, "first_seen" datetime NOT NULL, "feed_id" bigint NOT NULL REFERENCES "feeds_feed" ("id") DEFERRABLE INITIALLY DEFERRED, CONSTRAINT "entry_guid_unique_in_feed" UNIQUE ("feed_id", "guid"), CONSTRAINT "entry_has_guid" CHECK (NOT ("guid" = '')));
INSERT INTO "feeds_entry" VALUES(1,'urn:news:1','Entry 1 – “quoted”','https://news.example/1','','','<p>Text 1</p>','2026-01-01 08:00:00',NULL,'0000000000000000000000000000000000000000000000000000000000000001','2026-11-26 23:18:37.258231',1);
INSERT INTO "feeds_entry" VALUES(2,'urn:news:2','Entry 2 – “quoted”','https://news.example/2','','','<p>Text 2</p>','2026-01-02 08:00:00',NULL,'0000000000000000000000000000000000000000000000000000000000000002','2026-11-26 23:18:37.258231',1);
INSERT INTO "feeds_entry" VALUES(3,'urn:news:3','Entry 3 – “quoted”','https://news.example/3','','','<p>Text 3</p>','2026-01-03 08:00:00',NULL,'0000000000000000000000000000000000000000000000000000000000000003','2026-11-26 23:18:37.258231',1);
CREATE TABLE "feeds_feed" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "url" varchar(2000) NOT NULL UNIQUE, "title" varchar(500) NOT NULL, "link" varchar(2000) NOT NULL, "etag" text NOT NULL, "last_modified" text NOT NULL, "created" datetime NOT NULL, "updated" datetime NOT NULL, "schedule_id" bigint NULL UNIQUE REFERENCES "tasks_scheduledtask" ("id") DEFERRABLE INITIALLY DEFERRED, CONSTRAINT "feed_url_is_web" CHECK (("url" LIKE 'http://%' ESCAPE '\' OR "url" LIKE 'https://%' ESCAPE '\')));
INSERT INTO "feeds_feed" VALUES(1,'https://news.example/feed','News','https://news.example/','"abc"','Sat, 03 Jan 2026 08:00:00 GMT','2026-11-26 23:18:37.185573','2026-11-26 23:18:37.259367',18);
CREATE TABLE "tasks_calendar" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "name" varchar(200) NOT NULL UNIQUE, "dates" text NOT NULL, "description" text NOT NULL, "created" datetime NOT NULL, "updated" datetime NOT NULL, CONSTRAINT "calendar_dates_in_bounds" CHECK (LENGTH("dates") <= 24000));
INSERT INTO "tasks_calendar" VALUES(1,'Holidays','2098-01-01
2098-12-24..2098-12-26','Closed','2026-11-26 23:18:00.308641','2026-11-26 23:18:00.308677');
CREATE TABLE "tasks_runrequest" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "due" datetime NULL, "requested" datetime NOT NULL, "parent_id" bigint NOT NULL REFERENCES "tasks_scheduledtask" ("id") DEFERRABLE INITIALLY DEFERRED, CONSTRAINT "request_one_per_occurrence" UNIQUE ("parent_id", "due"));
INSERT INTO "tasks_runrequest" VALUES(5,NULL,'2026-11-26 23:18:48.821000',8);
INSERT INTO "tasks_runrequest" VALUES(6,'2026-11-26 23:18:02.211000','2026-11-26 23:18:48.838975',1);
INSERT INTO "tasks_runrequest" VALUES(7,'2026-11-26 23:18:03.211000','2026-11-26 23:18:48.838975',1);
CREATE TABLE "tasks_scheduledtask" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "name" varchar(200) NOT NULL, "job_id" varchar(64) NOT NULL UNIQUE, "type" varchar(16) NOT NULL, "description" text NOT NULL, "function" varchar(200) NOT NULL, "args" text NOT NULL CHECK ((JSON_VALID("args") OR "args" IS NULL)), "kwargs" text NOT NULL CHECK ((JSON_VALID("kwargs") OR "kwargs" IS NULL)), "fingerprint" varchar(64) NOT NULL UNIQUE, "queue" varchar(64) NOT NULL, "status" varchar(16) NOT NULL, "problem" text NOT NULL, "first" datetime NULL, "interval" bigint unsigned NULL CHECK ("interval" >= 0), "cron" varchar(200) NOT NULL, "timezone" varchar(64) NOT NULL, "repeat" integer unsigned NULL CHECK ("repeat" >= 0), "start" datetime NULL, "end" datetime NULL, "overlap" varchar(16) NOT NULL, "catch_up" varchar(16) NOT NULL, "start_deadline" integer unsigned NULL CHECK ("start_deadline" >= 0), "timeout" integer unsigned NULL CHECK ("timeout" >= 0), "retries" smallint unsigned NOT NULL CHECK ("retries" >= 0), "retry_delay" integer unsigned NOT NULL CHECK ("retry_delay" >= 0), "keep_runs" integer unsigned NULL CHECK ("keep_runs" >= 0), "keep_days" integer unsigned NULL CHECK ("keep_days" >= 0), "note" text NOT NULL, "paused_at" datetime NULL, "synced" bool NOT NULL, "accounted_until" datetime NOT NULL, "created" datetime NOT NULL, "updated" datetime NOT NULL, "exclude" text NOT NULL, "jitter" integer unsigned NULL CHECK ("jitter" >= 0), "calendar_id" bigint NULL REFERENCES "tasks_calendar" ("id") DEFERRABLE INITIALLY DEFERRED, "look_at" datetime NOT NULL, "pruned_until" datetime NULL, "since" datetime NOT NULL, CONSTRAINT "schedule_status_known" CHECK ("status" IN ('running', 'failed', 'paused', 'death')), CONSTRAINT "schedule_spec_of_its_type" CHECK ((("first" IS NULL AND "interval" IS NULL AND "type" = 'cron' AND NOT ("cron" = '')) OR ("cron" = '' AND "first" IS NOT NULL AND "type" = 'schedule'))), CONSTRAINT "schedule_interval_in_bounds" CHECK (("interval" IS NULL OR ("interval" >= 1 AND "interval" <= 316224000))), CONSTRAINT "schedule_repeat_in_bounds" CHECK (("repeat" IS NULL OR ("repeat" >= 1 AND "repeat" <= 100000))), CONSTRAINT "schedule_retries_in_bounds" CHECK (("retries" <= 100 AND "retry_delay" <= 604800)), CONSTRAINT "schedule_end_not_before_start" CHECK (("start" IS NULL OR "end" IS NULL OR "end" >= ("start"))), CONSTRAINT "schedule_timeout_in_bounds" CHECK (("timeout" IS NULL OR ("timeout" >= 1 AND "timeout" <= 604800))), CONSTRAINT "schedule_start_deadline_in_bounds" CHECK (("start_deadline" IS NULL OR ("start_deadline" >= 1 AND "start_deadline" <= 316224000))), CONSTRAINT "schedule_keep_runs_in_bounds" CHECK (("keep_runs" IS NULL OR ("keep_runs" >= 1 AND "keep_runs" <= 1000000))), CONSTRAINT "schedule_keep_days_in_bounds" CHECK (("keep_days" IS NULL OR ("keep_days" >= 1 AND "keep_days" <= 36500))), CONSTRAINT "schedule_policies_known" CHECK (("overlap" IN ('skip', 'allow', 'wait', 'replace') AND "catch_up" IN ('latest', 'all', 'none'))), CONSTRAINT "schedule_paused_since" CHECK ((("paused_at" IS NOT NULL AND "status" = 'paused') OR (NOT ("status" = 'paused') AND "paused_at" IS NULL))), CONSTRAINT "schedule_exclude_in_bounds" CHECK (LENGTH("exclude") <= 24000), CONSTRAINT "schedule_jitter_in_bounds" CHECK (("jitter" IS NULL OR ("jitter" >= 1 AND "jitter" <= 86400 AND ("interval" IS NULL OR "jitter" <= ("interval"))))));
INSERT INTO "tasks_scheduledtask" VALUES(1,'misses all','schedule-a650fc76524049c3a36088455ea595c6','schedule','','tests.jobs.answer','[]','{}','ef0347a954d0f09cc9abaa9f15414e7da30d0a8b85b3b9198c31f5a03a3011a6','default','death','','2026-11-26 23:18:00.211000',1,'','UTC',NULL,NULL,'2026-11-26 23:18:04.211671','skip','none',NULL,NULL,0,0,1000,NULL,'',NULL,0,'2026-11-26 23:18:25.165185','2026-11-26 23:18:00.232799','2026-11-26 23:18:00.232806','',NULL,NULL,'2026-11-26 23:18:30.033177',NULL,'2026-11-26 23:18:25.165185');
INSERT INTO "tasks_scheduledtask" VALUES(2,'misses all but the newest','schedule-5339561b953e4dea9d83563d2db86835','schedule','','tests.jobs.answer','[]','{}','faaa84316ac0454633070cef5f47e14dbddbf7fe202ad6a262cc882a57f578bf','default','death','','2026-11-26 23:18:00.211000',1,'','UTC',NULL,NULL,'2026-11-26 23:18:04.211671','skip','latest',NULL,NULL,0,0,1000,NULL,'',NULL,0,'2026-11-26 23:18:30.303837','2026-11-26 23:18:00.268321','2026-11-26 23:18:00.268331','',NULL,NULL,'2026-11-26 23:18:35.299450',NULL,'2026-11-26 23:18:30.303837');
INSERT INTO "tasks_scheduledtask" VALUES(3,'comes too late','schedule-c14a0d490b614ba2b35af0f4bb1d698a','schedule','','tests.jobs.answer','[]','{}','fd025a6d0c4119f86c435398321885aeeee2c1673926eacbb63920d7679e2e87','default','death','','2026-11-26 23:18:00.211000',1,'','UTC',NULL,NULL,'2026-11-26 23:18:02.211671','skip','latest',2,NULL,0,0,1000,NULL,'',NULL,0,'2026-11-26 23:18:25.126138','2026-11-26 23:18:00.296076','2026-11-26 23:18:00.296083','',NULL,NULL,'2026-11-26 23:18:30.033177',NULL,'2026-11-26 23:18:25.126138');
INSERT INTO "tasks_scheduledtask" VALUES(4,'monthly in Berlin','schedule-398d07379e564270b3e0cb421dbd7e45','cron','With everything.','tests.jobs.answer','[]','{}','0e97250d8295493b67a34321e00f3b98cd7f3c6fd4862ec930dd320b03b739aa','low','running','',NULL,NULL,'30 6 1 * *','Europe/Berlin',900,'2026-11-26 23:18:00.309303','2099-01-01 00:00:00','skip','latest',NULL,60,0,0,500,36500,'',NULL,0,'2026-11-26 23:18:00.329735','2026-11-26 23:18:00.330190','2026-11-26 23:18:00.330198','2098-05-01',600,1,'2026-11-27 00:18:30.033177',NULL,'2026-11-26 23:18:00.329735');
INSERT INTO "tasks_scheduledtask" VALUES(5,'once, to come','schedule-148ae8a7dc5c45a8826ece7041076599','schedule','','tests.jobs.answer','[]','{}','f0652edc3bb75008367fc64e7ca63f3d9599a5f4c82323b0d5d8fde164962505','default','running','','2099-01-01 00:00:00',NULL,'','UTC',NULL,NULL,NULL,'skip','latest',NULL,NULL,0,0,1000,NULL,'',NULL,0,'2026-11-26 23:18:00.372906','2026-11-26 23:18:00.373494','2026-11-26 23:18:00.373504','',NULL,NULL,'2026-11-27 00:18:30.033177',NULL,'2026-11-26 23:18:00.372906');
INSERT INTO "tasks_scheduledtask" VALUES(6,'without its function','schedule-7afd7743851d47e99ee9e65158a2d94f','schedule','','gone.function','[]','{}','b128698dd03ad72458fec64d60a367718f9b1d5c16d54813dbc562191babf9b4','default','running','No task function is registered as “gone.function”. Registered: examples.count_words, examples.long_task, feeds.fetch_rss, tests.jobs.answer, tests.jobs.count, tests.jobs.end_by, tests.jobs.note, tests.jobs.process_id, tests.jobs.witness.','2099-01-01 00:00:00',NULL,'','UTC',NULL,NULL,NULL,'skip','latest',NULL,NULL,0,0,1000,NULL,'',NULL,0,'2026-11-26 23:18:00.397688','2026-11-26 23:18:00.398058','2026-11-26 23:18:00.398065','',NULL,NULL,'2026-11-27 00:18:30.033177',NULL,'2026-11-26 23:18:00.397688');
INSERT INTO "tasks_scheduledtask" VALUES(7,'once, over','schedule-829e1d5f332047508d4e4e4786304545','schedule','','tests.jobs.count','[2, 0.1]','{}','4dce7206271f72689d2c759e666b326568b2cd9bde1f1f8c8b0ca3ad6b3bc9af','default','death','','2026-11-26 23:18:17.407000',NULL,'','UTC',NULL,NULL,NULL,'skip','latest',NULL,NULL,0,0,1000,NULL,'',NULL,0,'2026-11-26 23:18:25.176748','2026-11-26 23:18:17.454143','2026-11-26 23:18:17.454156','',NULL,NULL,'2026-11-26 23:18:30.033177',NULL,'2026-11-26 23:18:25.176748');
INSERT INTO "tasks_scheduledtask" VALUES(8,'every 30 days','schedule-350146ff08ea4bbd8ec6d33d4a575202','schedule','','tests.jobs.answer','[]','{}','0fdd113c53ed364854f57b01b98ebbd0346aee2760a77cf315678841c45bf284','default','running','','2026-11-26 23:18:17.466000',2592000,'','UTC',NULL,NULL,NULL,'skip','latest',NULL,NULL,0,0,1000,NULL,'',NULL,0,'2026-11-26 23:18:17.466000','2026-11-26 23:18:17.500652','2026-11-26 23:18:17.500663','',NULL,NULL,'2026-11-27 00:18:30.033177',NULL,'2026-11-26 23:18:17.465999');
INSERT INTO "tasks_scheduledtask" VALUES(9,'fails','schedule-513b9d87cc554d97a0d52f87d2cd447b','schedule','','tests.jobs.end_by','["raise"]','{}','845a2040a8134e5b030897fea58b5d4986ebe0ba6c256a8e86b41f77e0584b4c','default','failed','','2026-11-26 23:18:17.519000',2592000,'','UTC',NULL,NULL,NULL,'skip','latest',NULL,NULL,1,1,1000,NULL,'',NULL,0,'2026-11-26 23:18:17.519000','2026-11-26 23:18:17.551693','2026-11-26 23:18:17.551705','',NULL,NULL,'2026-11-27 00:18:30.033177',NULL,'2026-11-26 23:18:17.518999');
INSERT INTO "tasks_scheduledtask" VALUES(10,'waits for its retry','schedule-1ba46c2f186348b1acc89e63085331f5','schedule','','tests.jobs.end_by','["raise"]','{}','4a4eb5627402f088ccf0d29e167518bbdcd700ddb2f9bcf030e697b3f3fb8b35','default','failed','','2026-11-26 23:18:17.560000',2592000,'','UTC',NULL,NULL,NULL,'skip','latest',NULL,NULL,3,900,1000,NULL,'',NULL,0,'2026-11-26 23:18:17.560000','2026-11-26 23:18:17.587070','2026-11-26 23:18:17.587076','',NULL,NULL,'2026-11-27 00:18:30.033177',NULL,'2026-11-26 23:18:17.559999');
INSERT INTO "tasks_scheduledtask" VALUES(11,'five times','schedule-ed76b31408734b64b7cccbbea35e571a','schedule','','tests.jobs.answer','[]','{}','3bcb274590c44ee69af8c6d6614e6c5304d53a653b8fa77e17b798cd18417d95','default','death','','2026-11-26 23:18:17.595000',1,'','UTC',5,NULL,NULL,'skip','latest',NULL,NULL,0,0,1000,NULL,'',NULL,0,'2026-11-26 23:18:25.144181','2026-11-26 23:18:17.626681','2026-11-26 23:18:17.626693','',NULL,NULL,'2026-11-26 23:18:30.033177',NULL,'2026-11-26 23:18:25.144181');
INSERT INTO "tasks_scheduledtask" VALUES(12,'skips what overlaps','schedule-f75700f1283b475eb531fd5e4c6aa3d6','cron','','tests.jobs.count','[30, 0.1]','{}','88a506b77fea6bea9cf2a1979e161585d91e418e03cec6a51ffd9252faa719e8','default','death','',NULL,NULL,'* * * * * *','UTC',NULL,NULL,'2026-11-26 23:18:23.631683','skip','latest',NULL,NULL,0,0,1000,NULL,'',NULL,0,'2026-11-26 23:18:35.431000','2026-11-26 23:18:17.656627','2026-11-26 23:18:17.656637','',NULL,NULL,'2026-11-26 23:18:40.426271',NULL,'2026-11-26 23:18:35.431000');
INSERT INTO "tasks_scheduledtask" VALUES(13,'replaces what overlaps','schedule-c4fb00660f274a14b63a49c69f2d004a','schedule','','tests.jobs.count','[25, 0.1]','{}','639ef5d379d837a126654769fc034d0a22f5a71e21ed271bd3ba9084276ac9de','default','death','','2026-11-26 23:18:17.666000',2,'','UTC',NULL,NULL,'2026-11-26 23:18:22.666103','replace','latest',NULL,NULL,0,0,1000,NULL,'',NULL,0,'2026-11-26 23:18:30.320939','2026-11-26 23:18:17.695426','2026-11-26 23:18:17.695437','',NULL,NULL,'2026-11-26 23:18:35.299450',NULL,'2026-11-26 23:18:30.320939');
INSERT INTO "tasks_scheduledtask" VALUES(14,'waits for what overlaps','schedule-16abad50f4344645953b70bb30a63205','schedule','','tests.jobs.count','[12, 0.1]','{}','5d3eabed354b391d7b95c0a21d1a698a4d38d8476b448099f5afb91ef31a0313','default','death','','2026-11-26 23:18:17.700000',1,'','UTC',NULL,NULL,'2026-11-26 23:18:19.700102','wait','latest',NULL,NULL,0,0,1000,NULL,'',NULL,0,'2026-11-26 23:18:30.331155','2026-11-26 23:18:17.730411','2026-11-26 23:18:17.730423','',NULL,NULL,'2026-11-26 23:18:35.299450',NULL,'2026-11-26 23:18:30.331155');
INSERT INTO "tasks_scheduledtask" VALUES(15,'paused','schedule-92d192bc2bf041bb930988bd10ed9445','schedule','','tests.jobs.answer','[]','{}','21b9c66f999160ca4a229e02cf1e4888ca4b39b6dcb656d200cbb63fc5c3bda9','default','paused','','2026-11-26 23:18:17.769000',2,'','UTC',NULL,NULL,NULL,'skip','latest',NULL,NULL,0,0,1000,NULL,'Until the move is over.','2026-11-26 23:18:22.915241',0,'2026-11-26 23:18:22.916621','2026-11-26 23:18:17.803386','2026-11-26 23:18:22.923398','',NULL,NULL,'2026-11-26 23:18:22.916621',NULL,'2026-11-26 23:18:22.916621');
INSERT INTO "tasks_scheduledtask" VALUES(16,'cancelled','schedule-b8dafc882c434873a500cbc1aa2cdfac','schedule','','tests.jobs.answer','[]','{}','d1a0a4048f0ed4856f91384877a57a1f6cc6e01071b09360e9cb1d5e038e4ed4','default','death','','2026-11-26 23:18:17.808000',2,'','UTC',NULL,NULL,NULL,'skip','latest',NULL,NULL,0,0,1000,NULL,'',NULL,0,'2026-11-26 23:18:22.975557','2026-11-26 23:18:17.837114','2026-11-26 23:18:22.986221','',NULL,NULL,'2026-11-26 23:18:22.975557',NULL,'2026-11-26 23:18:22.975557');
INSERT INTO "tasks_scheduledtask" VALUES(17,'edited','schedule-847c58d372e741dabc4dc1c648576ef3','schedule','Edited.','tests.jobs.answer','[]','{}','404d24cfb168785ce520fdf652b0b415a0271df13fa25bb9816d23fdf7fa93c8','default','running','','2026-11-26 23:18:34.189000',2592000,'','UTC',NULL,NULL,NULL,'skip','latest',NULL,NULL,0,0,1000,NULL,'',NULL,0,'2026-11-26 23:18:34.189000','2026-11-26 23:18:17.871740','2026-11-26 23:18:34.235313','',NULL,NULL,'2026-11-27 00:18:39.394228',NULL,'2026-11-26 23:18:34.188999');
INSERT INTO "tasks_scheduledtask" VALUES(18,'News','schedule-a32dfa14bc79436089481feaeb15f6aa','cron','','feeds.fetch_rss','[1]','{}','8e2c56ec1bf7839d423d4764fb4226fc8691ce8d4ae897af86260e239a73e8b3','default','paused','',NULL,NULL,'0 6 1 1 *','Europe/Berlin',NULL,NULL,NULL,'skip','latest',NULL,NULL,0,0,1000,NULL,'Their server is being moved.','2026-11-26 23:18:37.259748',0,'2026-11-26 23:18:37.260694','2026-11-26 23:18:37.230497','2026-11-26 23:18:37.273735','',NULL,NULL,'2026-11-26 23:18:37.260694',NULL,'2026-11-26 23:18:37.260694');
INSERT INTO "tasks_scheduledtask" VALUES(19,'waits on its queue','schedule-186b304c2121469b92f8ea704ad3faa6','schedule','','tests.jobs.answer','[]','{}','41adff48d464942ad3e0f86a7f23662fe7a43b3350898982b8b0a532e18bc9d3','default','running','','2026-11-26 23:18:37.281000',1,'','UTC',3,NULL,NULL,'allow','all',NULL,NULL,0,0,1000,NULL,'',NULL,0,'2026-11-26 23:18:37.280999','2026-11-26 23:18:37.342986','2026-11-26 23:18:37.342992','',NULL,NULL,'2026-11-26 23:18:44.593258',NULL,'2026-11-26 23:18:37.280999');
INSERT INTO "tasks_scheduledtask" VALUES(20,'lost its worker','schedule-384bfa06ff6c43dfbfe8b8f78fb1ee2f','schedule','','tests.jobs.count','[1000, 0.1]','{}','c948f666b0522ff4c250a2a3275cfc94559ed93f982c7d4887d8db836c1e273d','high','running','','2026-11-26 23:18:40.724000',2592000,'','UTC',NULL,NULL,NULL,'skip','latest',NULL,NULL,0,0,1000,NULL,'',NULL,0,'2026-11-26 23:18:40.723999','2026-11-26 23:18:40.738133','2026-11-26 23:18:40.738139','',NULL,NULL,'2026-11-26 23:18:40.724740',NULL,'2026-11-26 23:18:40.723999');
INSERT INTO "tasks_scheduledtask" VALUES(21,'its end is on the spool','schedule-d62bcf8d7c254c01a094351b685997ba','schedule','','tests.jobs.count','[1000, 0.1]','{}','44db5f67ae188f1ab1faa24c863276c9ac2885c63e1570dd637203b96dd6a943','high','running','','2026-11-26 23:18:40.746000',2592000,'','UTC',NULL,NULL,NULL,'skip','latest',NULL,NULL,0,0,1000,NULL,'',NULL,0,'2026-11-26 23:18:40.745999','2026-11-26 23:18:40.821926','2026-11-26 23:18:40.821938','',NULL,NULL,'2026-11-26 23:18:40.747236',NULL,'2026-11-26 23:18:40.745999');
CREATE TABLE "tasks_scheduledtaskinstance" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "name" varchar(200) NOT NULL, "failed" bool GENERATED ALWAYS AS (CASE WHEN "status" = 'failed' THEN 1 ELSE 0 END) STORED, "attempt" smallint unsigned NOT NULL CHECK ("attempt" >= 0), "started" datetime NULL, "ended" datetime NULL, "worker_name" varchar(200) NOT NULL, "progress" smallint unsigned NOT NULL CHECK ("progress" >= 0), "progress_message" varchar(200) NOT NULL, "reason" varchar(500) NOT NULL, "log" text NOT NULL, "result" text NULL CHECK ((JSON_VALID("result") OR "result" IS NULL)), "exception_class" varchar(200) NOT NULL, "traceback" text NOT NULL, "created" datetime NOT NULL, "status" varchar(16) NOT NULL, "due" datetime NULL, "requested" datetime NULL, "parent_id" bigint NOT NULL REFERENCES "tasks_scheduledtask" ("id") DEFERRABLE INITIALLY DEFERRED, CONSTRAINT "run_one_per_occurrence" UNIQUE ("parent_id", "due"), CONSTRAINT "run_times_of_its_status" CHECK ((("ended" IS NULL AND "started" IS NOT NULL AND "status" = 'running') OR ("ended" IS NOT NULL AND "started" IS NOT NULL AND "status" IN ('finished', 'failed')) OR ("ended" IS NOT NULL AND "status" = 'canceled') OR ("ended" IS NOT NULL AND "started" IS NULL AND "status" IN ('missed', 'skipped')))), CONSTRAINT "run_numbers_in_bounds" CHECK (("attempt" >= 1 AND "progress" >= 0 AND "progress" <= 100)), CONSTRAINT "run_due_or_requested" CHECK (("due" IS NOT NULL OR "requested" IS NOT NULL)));
INSERT INTO "tasks_scheduledtaskinstance" VALUES(1,'paused',1,NULL,'2026-11-26 23:18:22.921922','',0,'','The schedule was paused or cancelled before it could run.','',NULL,'','','2026-11-26 23:18:22.922249','missed','2026-11-26 23:18:17.769000',NULL,15);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(2,'paused',1,NULL,'2026-11-26 23:18:22.922041','',0,'','The schedule was paused or cancelled before it could run.','',NULL,'','','2026-11-26 23:18:22.922283','missed','2026-11-26 23:18:19.769000',NULL,15);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(3,'paused',1,NULL,'2026-11-26 23:18:22.922061','',0,'','The schedule was paused or cancelled before it could run.','',NULL,'','','2026-11-26 23:18:22.922312','missed','2026-11-26 23:18:21.769000',NULL,15);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(4,'cancelled',1,NULL,'2026-11-26 23:18:22.976434','',0,'','The schedule was paused or cancelled before it could run.','',NULL,'','','2026-11-26 23:18:22.976870','missed','2026-11-26 23:18:17.808000',NULL,16);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(5,'cancelled',1,NULL,'2026-11-26 23:18:22.976520','',0,'','The schedule was paused or cancelled before it could run.','',NULL,'','','2026-11-26 23:18:22.976931','missed','2026-11-26 23:18:19.808000',NULL,16);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(6,'cancelled',1,NULL,'2026-11-26 23:18:22.976551','',0,'','The schedule was paused or cancelled before it could run.','',NULL,'','','2026-11-26 23:18:22.985181','missed','2026-11-26 23:18:21.808000',NULL,16);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(7,'edited',1,NULL,'2026-11-26 23:18:23.091129','',0,'','The schedule was changed before it could run.','',NULL,'','','2026-11-26 23:18:23.091368','missed','2026-11-26 23:18:17.846000',NULL,17);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(8,'edited',1,NULL,'2026-11-26 23:18:23.091191','',0,'','The schedule was changed before it could run.','',NULL,'','','2026-11-26 23:18:23.091402','missed','2026-11-26 23:18:19.846000',NULL,17);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(9,'edited',1,NULL,'2026-11-26 23:18:23.091210','',0,'','The schedule was changed before it could run.','',NULL,'','','2026-11-26 23:18:23.091431','missed','2026-11-26 23:18:21.846000',NULL,17);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(10,'once, over',1,'2026-11-26 23:18:24.523030','2026-11-26 23:18:24.725623','worker-1',100,'at 1','','2026-11-26 23:18:24,524 INFO tests.jobs.tasks: At 0
2026-11-26 23:18:24,624 INFO tests.jobs.tasks: At 1
','2','','','2026-11-26 23:18:24.523030','finished','2026-11-26 23:18:17.407000',NULL,7);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(11,'every 30 days',1,'2026-11-26 23:18:24.558857','2026-11-26 23:18:24.575220','worker-2',100,'','','','42','','','2026-11-26 23:18:24.558857','finished','2026-11-26 23:18:17.466000',NULL,8);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(12,'fails',2,'2026-11-26 23:18:27.697902','2026-11-26 23:18:27.699571','worker-1',0,'','Failed for: ValueError: as asked','Failed for: ValueError: as asked
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
','2026-11-26 23:18:24.591510','failed','2026-11-26 23:18:17.519000',NULL,9);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(13,'comes too late',1,NULL,'2026-11-26 23:18:24.625409','',0,'','It could not start within its start deadline of 2 s.','',NULL,'','','2026-11-26 23:18:24.627253','missed','2026-11-26 23:18:00.211000',NULL,3);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(14,'comes too late',1,NULL,'2026-11-26 23:18:24.625409','',0,'','It could not start within its start deadline of 2 s.','',NULL,'','','2026-11-26 23:18:24.627340','missed','2026-11-26 23:18:01.211000',NULL,3);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(15,'comes too late',1,NULL,'2026-11-26 23:18:24.625409','',0,'','It could not start within its start deadline of 2 s.','',NULL,'','','2026-11-26 23:18:24.627405','missed','2026-11-26 23:18:02.211000',NULL,3);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(16,'misses all',1,'2026-11-26 23:18:35.375782','2026-11-26 23:18:35.377519','worker-1',100,'','','','42','','','2026-11-26 23:18:24.627466','finished','2026-11-26 23:18:00.211000','2026-11-26 23:18:35.353387',1);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(17,'misses all',1,'2026-11-26 23:18:35.399158','2026-11-26 23:18:35.400506','worker-1',100,'','','','42','','','2026-11-26 23:18:24.627519','finished','2026-11-26 23:18:01.211000','2026-11-26 23:18:35.353387',1);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(18,'misses all',1,NULL,'2026-11-26 23:18:24.626090','',0,'','It could not be dispatched in time (catch-up: none).','',NULL,'','','2026-11-26 23:18:24.627572','missed','2026-11-26 23:18:02.211000',NULL,1);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(19,'misses all',1,NULL,'2026-11-26 23:18:24.626090','',0,'','It could not be dispatched in time (catch-up: none).','',NULL,'','','2026-11-26 23:18:24.627627','missed','2026-11-26 23:18:03.211000',NULL,1);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(20,'misses all',1,NULL,'2026-11-26 23:18:24.626090','',0,'','It could not be dispatched in time (catch-up: none).','',NULL,'','','2026-11-26 23:18:24.627682','missed','2026-11-26 23:18:04.211000',NULL,1);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(21,'misses all but the newest',1,NULL,'2026-11-26 23:18:24.626511','',0,'','It could not be dispatched in time (catch-up: latest).','',NULL,'','','2026-11-26 23:18:24.627737','missed','2026-11-26 23:18:00.211000',NULL,2);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(22,'misses all but the newest',1,NULL,'2026-11-26 23:18:24.626511','',0,'','It could not be dispatched in time (catch-up: latest).','',NULL,'','','2026-11-26 23:18:24.627790','missed','2026-11-26 23:18:01.211000',NULL,2);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(23,'misses all but the newest',1,NULL,'2026-11-26 23:18:24.626511','',0,'','It could not be dispatched in time (catch-up: latest).','',NULL,'','','2026-11-26 23:18:24.627841','missed','2026-11-26 23:18:02.211000',NULL,2);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(24,'misses all but the newest',1,NULL,'2026-11-26 23:18:24.626511','',0,'','It could not be dispatched in time (catch-up: latest).','',NULL,'','','2026-11-26 23:18:24.627898','missed','2026-11-26 23:18:03.211000',NULL,2);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(25,'waits for its retry',1,'2026-11-26 23:18:24.660825','2026-11-26 23:18:24.662356','worker-2',0,'','Failed for: ValueError: as asked','Failed for: ValueError: as asked
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
','2026-11-26 23:18:24.660825','failed','2026-11-26 23:18:17.560000',NULL,10);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(26,'five times',1,'2026-11-26 23:18:24.689633','2026-11-26 23:18:24.691159','worker-2',100,'','','','42','','','2026-11-26 23:18:24.689633','finished','2026-11-26 23:18:17.595000',NULL,11);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(27,'five times',1,'2026-11-26 23:18:24.701922','2026-11-26 23:18:24.703737','worker-2',100,'','','','42','','','2026-11-26 23:18:24.701922','finished','2026-11-26 23:18:18.595000',NULL,11);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(28,'five times',1,'2026-11-26 23:18:24.706092','2026-11-26 23:18:24.708425','worker-2',100,'','','','42','','','2026-11-26 23:18:24.706092','finished','2026-11-26 23:18:19.595000',NULL,11);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(29,'five times',1,'2026-11-26 23:18:24.709971','2026-11-26 23:18:24.711429','worker-2',100,'','','','42','','','2026-11-26 23:18:24.709971','finished','2026-11-26 23:18:20.595000',NULL,11);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(30,'five times',1,'2026-11-26 23:18:24.718005','2026-11-26 23:18:24.719743','worker-2',100,'','','','42','','','2026-11-26 23:18:24.718005','finished','2026-11-26 23:18:21.595000',NULL,11);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(31,'replaces what overlaps',1,'2026-11-26 23:18:24.733613','2026-11-26 23:18:24.771459','worker-2',0,'','Replaced by the next run.','',NULL,'','','2026-11-26 23:18:24.733613','canceled','2026-11-26 23:18:17.666000',NULL,13);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(32,'replaces what overlaps',1,'2026-11-26 23:18:24.772268','2026-11-26 23:18:24.958734','worker-1',0,'','Replaced by the next run.','',NULL,'','','2026-11-26 23:18:24.777399','canceled','2026-11-26 23:18:19.666000',NULL,13);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(33,'replaces what overlaps',1,'2026-11-26 23:18:24.960118','2026-11-26 23:18:27.517524','worker-2',100,'at 24','','2026-11-26 23:18:24,968 INFO tests.jobs.tasks: At 0
2026-11-26 23:18:25,085 INFO tests.jobs.tasks: At 1
2026-11-26 23:18:25,185 INFO tests.jobs.tasks: At 2
2026-11-26 23:18:25,285 INFO tests.jobs.tasks: At 3
2026-11-26 23:18:25,386 INFO tests.jobs.tasks: At 4
2026-11-26 23:18:25,486 INFO tests.jobs.tasks: At 5
2026-11-26 23:18:25,590 INFO tests.jobs.tasks: At 6
2026-11-26 23:18:25,691 INFO tests.jobs.tasks: At 7
2026-11-26 23:18:25,791 INFO tests.jobs.tasks: At 8
2026-11-26 23:18:25,892 INFO tests.jobs.tasks: At 9
2026-11-26 23:18:25,992 INFO tests.jobs.tasks: At 10
2026-11-26 23:18:26,092 INFO tests.jobs.tasks: At 11
2026-11-26 23:18:26,193 INFO tests.jobs.tasks: At 12
2026-11-26 23:18:26,293 INFO tests.jobs.tasks: At 13
2026-11-26 23:18:26,393 INFO tests.jobs.tasks: At 14
2026-11-26 23:18:26,494 INFO tests.jobs.tasks: At 15
2026-11-26 23:18:26,601 INFO tests.jobs.tasks: At 16
2026-11-26 23:18:26,709 INFO tests.jobs.tasks: At 17
2026-11-26 23:18:26,809 INFO tests.jobs.tasks: At 18
2026-11-26 23:18:26,913 INFO tests.jobs.tasks: At 19
2026-11-26 23:18:27,013 INFO tests.jobs.tasks: At 20
2026-11-26 23:18:27,113 INFO tests.jobs.tasks: At 21
2026-11-26 23:18:27,214 INFO tests.jobs.tasks: At 22
2026-11-26 23:18:27,314 INFO tests.jobs.tasks: At 23
2026-11-26 23:18:27,414 INFO tests.jobs.tasks: At 24
','25','','','2026-11-26 23:18:24.960674','finished','2026-11-26 23:18:21.666000',NULL,13);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(34,'waits for what overlaps',1,'2026-11-26 23:18:25.034927','2026-11-26 23:18:26.322966','worker-1',100,'at 11','','2026-11-26 23:18:25,067 INFO tests.jobs.tasks: At 0
2026-11-26 23:18:25,167 INFO tests.jobs.tasks: At 1
2026-11-26 23:18:25,267 INFO tests.jobs.tasks: At 2
2026-11-26 23:18:25,368 INFO tests.jobs.tasks: At 3
2026-11-26 23:18:25,503 INFO tests.jobs.tasks: At 4
2026-11-26 23:18:25,605 INFO tests.jobs.tasks: At 5
2026-11-26 23:18:25,705 INFO tests.jobs.tasks: At 6
2026-11-26 23:18:25,806 INFO tests.jobs.tasks: At 7
2026-11-26 23:18:25,917 INFO tests.jobs.tasks: At 8
2026-11-26 23:18:26,021 INFO tests.jobs.tasks: At 9
2026-11-26 23:18:26,121 INFO tests.jobs.tasks: At 10
2026-11-26 23:18:26,221 INFO tests.jobs.tasks: At 11
','12','','','2026-11-26 23:18:25.034927','finished','2026-11-26 23:18:17.700000',NULL,14);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(39,'waits for what overlaps',1,'2026-11-26 23:18:26.334065','2026-11-26 23:18:27.585795','worker-1',100,'at 11','','2026-11-26 23:18:26,335 INFO tests.jobs.tasks: At 0
2026-11-26 23:18:26,435 INFO tests.jobs.tasks: At 1
2026-11-26 23:18:26,536 INFO tests.jobs.tasks: At 2
2026-11-26 23:18:26,636 INFO tests.jobs.tasks: At 3
2026-11-26 23:18:26,749 INFO tests.jobs.tasks: At 4
2026-11-26 23:18:26,869 INFO tests.jobs.tasks: At 5
2026-11-26 23:18:26,973 INFO tests.jobs.tasks: At 6
2026-11-26 23:18:27,073 INFO tests.jobs.tasks: At 7
2026-11-26 23:18:27,175 INFO tests.jobs.tasks: At 8
2026-11-26 23:18:27,276 INFO tests.jobs.tasks: At 9
2026-11-26 23:18:27,376 INFO tests.jobs.tasks: At 10
2026-11-26 23:18:27,485 INFO tests.jobs.tasks: At 11
','12','','','2026-11-26 23:18:26.334065','finished','2026-11-26 23:18:18.700000',NULL,14);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(40,'edited',1,NULL,'2026-11-26 23:18:27.154997','',0,'','The schedule was paused or cancelled before it could run.','',NULL,'','','2026-11-26 23:18:27.155529','missed','2026-11-26 23:18:23.846000',NULL,17);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(41,'edited',1,NULL,'2026-11-26 23:18:27.155107','',0,'','The schedule was paused or cancelled before it could run.','',NULL,'','','2026-11-26 23:18:27.155670','missed','2026-11-26 23:18:26.846000',NULL,17);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(42,'skips what overlaps',1,'2026-11-26 23:18:27.550087','2026-11-26 23:18:30.581379','worker-2',100,'at 29','','2026-11-26 23:18:27,550 INFO tests.jobs.tasks: At 0
2026-11-26 23:18:27,651 INFO tests.jobs.tasks: At 1
2026-11-26 23:18:27,751 INFO tests.jobs.tasks: At 2
2026-11-26 23:18:27,851 INFO tests.jobs.tasks: At 3
2026-11-26 23:18:27,952 INFO tests.jobs.tasks: At 4
2026-11-26 23:18:28,053 INFO tests.jobs.tasks: At 5
2026-11-26 23:18:28,156 INFO tests.jobs.tasks: At 6
2026-11-26 23:18:28,256 INFO tests.jobs.tasks: At 7
2026-11-26 23:18:28,357 INFO tests.jobs.tasks: At 8
2026-11-26 23:18:28,457 INFO tests.jobs.tasks: At 9
2026-11-26 23:18:28,557 INFO tests.jobs.tasks: At 10
2026-11-26 23:18:28,658 INFO tests.jobs.tasks: At 11
2026-11-26 23:18:28,770 INFO tests.jobs.tasks: At 12
2026-11-26 23:18:28,870 INFO tests.jobs.tasks: At 13
2026-11-26 23:18:28,970 INFO tests.jobs.tasks: At 14
2026-11-26 23:18:29,071 INFO tests.jobs.tasks: At 15
2026-11-26 23:18:29,171 INFO tests.jobs.tasks: At 16
2026-11-26 23:18:29,271 INFO tests.jobs.tasks: At 17
2026-11-26 23:18:29,371 INFO tests.jobs.tasks: At 18
2026-11-26 23:18:29,472 INFO tests.jobs.tasks: At 19
2026-11-26 23:18:29,572 INFO tests.jobs.tasks: At 20
2026-11-26 23:18:29,672 INFO tests.jobs.tasks: At 21
2026-11-26 23:18:29,773 INFO tests.jobs.tasks: At 22
2026-11-26 23:18:29,873 INFO tests.jobs.tasks: At 23
2026-11-26 23:18:29,973 INFO tests.jobs.tasks: At 24
2026-11-26 23:18:30,074 INFO tests.jobs.tasks: At 25
2026-11-26 23:18:30,174 INFO tests.jobs.tasks: At 26
2026-11-26 23:18:30,274 INFO tests.jobs.tasks: At 27
2026-11-26 23:18:30,374 INFO tests.jobs.tasks: At 28
2026-11-26 23:18:30,477 INFO tests.jobs.tasks: At 29
','30','','','2026-11-26 23:18:27.550087','finished','2026-11-26 23:18:18',NULL,12);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(43,'skips what overlaps',1,NULL,'2026-11-26 23:18:27.606476','',0,'','The run of 2026-11-26 23:18:18 UTC was still going.','',NULL,'','','2026-11-26 23:18:27.606948','skipped','2026-11-26 23:18:19',NULL,12);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(44,'skips what overlaps',1,NULL,'2026-11-26 23:18:27.628213','',0,'','The run of 2026-11-26 23:18:18 UTC was still going.','',NULL,'','','2026-11-26 23:18:27.628453','skipped','2026-11-26 23:18:20',NULL,12);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(45,'skips what overlaps',1,NULL,'2026-11-26 23:18:27.650435','',0,'','The run of 2026-11-26 23:18:18 UTC was still going.','',NULL,'','','2026-11-26 23:18:27.650692','skipped','2026-11-26 23:18:21',NULL,12);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(46,'skips what overlaps',1,NULL,'2026-11-26 23:18:27.657986','',0,'','The run of 2026-11-26 23:18:18 UTC was still going.','',NULL,'','','2026-11-26 23:18:27.658207','skipped','2026-11-26 23:18:22',NULL,12);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(47,'skips what overlaps',1,NULL,'2026-11-26 23:18:27.674473','',0,'','The run of 2026-11-26 23:18:18 UTC was still going.','',NULL,'','','2026-11-26 23:18:27.674700','skipped','2026-11-26 23:18:23',NULL,12);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(48,'misses all but the newest',1,'2026-11-26 23:18:27.688222','2026-11-26 23:18:27.689790','worker-1',100,'','','','42','','','2026-11-26 23:18:27.688222','finished','2026-11-26 23:18:04.211000',NULL,2);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(49,'waits for what overlaps',1,'2026-11-26 23:18:28.017250','2026-11-26 23:18:29.259046','worker-1',100,'at 11','','2026-11-26 23:18:28,018 INFO tests.jobs.tasks: At 0
2026-11-26 23:18:28,118 INFO tests.jobs.tasks: At 1
2026-11-26 23:18:28,219 INFO tests.jobs.tasks: At 2
2026-11-26 23:18:28,325 INFO tests.jobs.tasks: At 3
2026-11-26 23:18:28,425 INFO tests.jobs.tasks: At 4
2026-11-26 23:18:28,553 INFO tests.jobs.tasks: At 5
2026-11-26 23:18:28,657 INFO tests.jobs.tasks: At 6
2026-11-26 23:18:28,757 INFO tests.jobs.tasks: At 7
2026-11-26 23:18:28,857 INFO tests.jobs.tasks: At 8
2026-11-26 23:18:28,957 INFO tests.jobs.tasks: At 9
2026-11-26 23:18:29,058 INFO tests.jobs.tasks: At 10
2026-11-26 23:18:29,158 INFO tests.jobs.tasks: At 11
','12','','','2026-11-26 23:18:28.017250','finished','2026-11-26 23:18:19.700000',NULL,14);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(50,'edited',1,'2026-11-26 23:18:32.871210','2026-11-26 23:18:32.873885','worker-1',100,'','','','42','','','2026-11-26 23:18:32.871436','finished','2026-11-26 23:18:32.846000',NULL,17);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(51,'edited',1,'2026-11-26 23:18:34.286627','2026-11-26 23:18:34.290862','worker-2',100,'','','','42','','','2026-11-26 23:18:34.286854','finished','2026-11-26 23:18:34.189000',NULL,17);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(52,'paused',1,'2026-11-26 23:18:34.318282','2026-11-26 23:18:34.319822','worker-1',100,'','','','42','','','2026-11-26 23:18:34.318544','finished',NULL,'2026-11-26 23:18:34.254000',15);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(53,'every 30 days',1,'2026-11-26 23:18:34.363142','2026-11-26 23:18:34.364623','worker-1',100,'','','','42','','','2026-11-26 23:18:34.363393','finished',NULL,'2026-11-26 23:18:34.269000',8);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(54,'lost its worker',1,'2026-11-26 23:18:45.872008',NULL,'worker-3',2,'at 24','','2026-11-26 23:18:45,976 INFO tests.jobs.tasks: At 0
2026-11-26 23:18:46,077 INFO tests.jobs.tasks: At 1
2026-11-26 23:18:46,177 INFO tests.jobs.tasks: At 2
2026-11-26 23:18:46,289 INFO tests.jobs.tasks: At 3
2026-11-26 23:18:46,389 INFO tests.jobs.tasks: At 4
2026-11-26 23:18:46,489 INFO tests.jobs.tasks: At 5
2026-11-26 23:18:46,590 INFO tests.jobs.tasks: At 6
2026-11-26 23:18:46,690 INFO tests.jobs.tasks: At 7
2026-11-26 23:18:46,790 INFO tests.jobs.tasks: At 8
2026-11-26 23:18:46,891 INFO tests.jobs.tasks: At 9
2026-11-26 23:18:46,991 INFO tests.jobs.tasks: At 10
2026-11-26 23:18:47,091 INFO tests.jobs.tasks: At 11
2026-11-26 23:18:47,191 INFO tests.jobs.tasks: At 12
2026-11-26 23:18:47,292 INFO tests.jobs.tasks: At 13
2026-11-26 23:18:47,392 INFO tests.jobs.tasks: At 14
2026-11-26 23:18:47,492 INFO tests.jobs.tasks: At 15
2026-11-26 23:18:47,593 INFO tests.jobs.tasks: At 16
2026-11-26 23:18:47,693 INFO tests.jobs.tasks: At 17
2026-11-26 23:18:47,793 INFO tests.jobs.tasks: At 18
2026-11-26 23:18:47,894 INFO tests.jobs.tasks: At 19
',NULL,'','','2026-11-26 23:18:45.872008','running','2026-11-26 23:18:40.724000',NULL,20);
INSERT INTO "tasks_scheduledtaskinstance" VALUES(55,'its end is on the spool',1,'2026-11-26 23:18:46.040644',NULL,'worker-4',2,'at 24','','2026-11-26 23:18:46,090 INFO tests.jobs.tasks: At 0
2026-11-26 23:18:46,205 INFO tests.jobs.tasks: At 1
2026-11-26 23:18:46,305 INFO tests.jobs.tasks: At 2
2026-11-26 23:18:46,405 INFO tests.jobs.tasks: At 3
2026-11-26 23:18:46,509 INFO tests.jobs.tasks: At 4
2026-11-26 23:18:46,613 INFO tests.jobs.tasks: At 5
2026-11-26 23:18:46,713 INFO tests.jobs.tasks: At 6
2026-11-26 23:18:46,813 INFO tests.jobs.tasks: At 7
2026-11-26 23:18:46,914 INFO tests.jobs.tasks: At 8
2026-11-26 23:18:47,014 INFO tests.jobs.tasks: At 9
2026-11-26 23:18:47,114 INFO tests.jobs.tasks: At 10
2026-11-26 23:18:47,214 INFO tests.jobs.tasks: At 11
2026-11-26 23:18:47,315 INFO tests.jobs.tasks: At 12
2026-11-26 23:18:47,415 INFO tests.jobs.tasks: At 13
2026-11-26 23:18:47,521 INFO tests.jobs.tasks: At 14
2026-11-26 23:18:47,621 INFO tests.jobs.tasks: At 15
2026-11-26 23:18:47,721 INFO tests.jobs.tasks: At 16
2026-11-26 23:18:47,821 INFO tests.jobs.tasks: At 17
2026-11-26 23:18:47,922 INFO tests.jobs.tasks: At 18
2026-11-26 23:18:48,022 INFO tests.jobs.tasks: At 19
',NULL,'','','2026-11-26 23:18:46.040644','running','2026-11-26 23:18:40.746000',NULL,21);
CREATE TABLE "tasks_scheduleperiod" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "kind" varchar(16) NOT NULL, "spec" text NULL CHECK ((JSON_VALID("spec") OR "spec" IS NULL)), "note" text NOT NULL, "start" datetime NOT NULL, "end" datetime NOT NULL, "parent_id" bigint NOT NULL REFERENCES "tasks_scheduledtask" ("id") DEFERRABLE INITIALLY DEFERRED, CONSTRAINT "period_spec_of_its_kind" CHECK ((("kind" = 'active' AND "spec" IS NOT NULL) OR ("kind" IN ('paused', 'death') AND "spec" IS NULL))), CONSTRAINT "period_closed" CHECK ("end" >= ("start")));
INSERT INTO "tasks_scheduleperiod" VALUES(1,'active','{"first": "2026-11-26T23:18:17.769000+00:00", "interval": 2, "cron": null, "timezone": "UTC", "repeat": null, "start": null, "end": null}','','2026-11-26 23:18:17.768999','2026-11-26 23:18:22.916621',15);
INSERT INTO "tasks_scheduleperiod" VALUES(2,'active','{"first": "2026-11-26T23:18:17.808000+00:00", "interval": 2, "cron": null, "timezone": "UTC", "repeat": null, "start": null, "end": null}','','2026-11-26 23:18:17.807999','2026-11-26 23:18:22.975557',16);
INSERT INTO "tasks_scheduleperiod" VALUES(3,'active','{"first": "2026-11-26T23:18:17.846000+00:00", "interval": 2, "cron": null, "timezone": "UTC", "repeat": null, "start": null, "end": null}','','2026-11-26 23:18:17.845999','2026-11-26 23:18:23.090494',17);
INSERT INTO "tasks_scheduleperiod" VALUES(4,'active','{"first": "2026-11-26T23:18:00.211000+00:00", "interval": 1, "cron": null, "timezone": "UTC", "repeat": null, "start": null, "end": "2026-11-26T23:18:02.211671+00:00"}','','2026-11-26 23:18:00.210999','2026-11-26 23:18:25.126138',3);
INSERT INTO "tasks_scheduleperiod" VALUES(5,'active','{"first": "2026-11-26T23:18:17.595000+00:00", "interval": 1, "cron": null, "timezone": "UTC", "repeat": 5, "start": null, "end": null}','','2026-11-26 23:18:17.594999','2026-11-26 23:18:25.144181',11);
INSERT INTO "tasks_scheduleperiod" VALUES(6,'active','{"first": "2026-11-26T23:18:00.211000+00:00", "interval": 1, "cron": null, "timezone": "UTC", "repeat": null, "start": null, "end": "2026-11-26T23:18:04.211671+00:00"}','','2026-11-26 23:18:00.210999','2026-11-26 23:18:25.165185',1);
INSERT INTO "tasks_scheduleperiod" VALUES(7,'active','{"first": "2026-11-26T23:18:17.407000+00:00", "interval": null, "cron": null, "timezone": "UTC", "repeat": null, "start": null, "end": null}','','2026-11-26 23:18:17.406999','2026-11-26 23:18:25.176748',7);
INSERT INTO "tasks_scheduleperiod" VALUES(8,'active','{"first": "2026-11-26T23:18:17.846000+00:00", "interval": 3, "cron": null, "timezone": "UTC", "repeat": null, "start": null, "end": null}','','2026-11-26 23:18:23.090496','2026-11-26 23:18:27.143154',17);
INSERT INTO "tasks_scheduleperiod" VALUES(9,'paused',NULL,'','2026-11-26 23:18:27.143154','2026-11-26 23:18:30.183752',17);
INSERT INTO "tasks_scheduleperiod" VALUES(10,'active','{"first": "2026-11-26T23:18:00.211000+00:00", "interval": 1, "cron": null, "timezone": "UTC", "repeat": null, "start": null, "end": "2026-11-26T23:18:04.211671+00:00"}','','2026-11-26 23:18:00.210999','2026-11-26 23:18:30.303837',2);
INSERT INTO "tasks_scheduleperiod" VALUES(11,'active','{"first": "2026-11-26T23:18:17.666000+00:00", "interval": 2, "cron": null, "timezone": "UTC", "repeat": null, "start": null, "end": "2026-11-26T23:18:22.666103+00:00"}','','2026-11-26 23:18:17.665999','2026-11-26 23:18:30.320939',13);
INSERT INTO "tasks_scheduleperiod" VALUES(12,'active','{"first": "2026-11-26T23:18:17.700000+00:00", "interval": 1, "cron": null, "timezone": "UTC", "repeat": null, "start": null, "end": "2026-11-26T23:18:19.700102+00:00"}','','2026-11-26 23:18:17.699999','2026-11-26 23:18:30.331155',14);
INSERT INTO "tasks_scheduleperiod" VALUES(13,'active','{"first": "2026-11-26T23:18:17.846000+00:00", "interval": 3, "cron": null, "timezone": "UTC", "repeat": null, "start": null, "end": null}','','2026-11-26 23:18:30.183752','2026-11-26 23:18:34.233296',17);
INSERT INTO "tasks_scheduleperiod" VALUES(14,'active','{"first": null, "interval": null, "cron": "* * * * * *", "timezone": "UTC", "repeat": null, "start": null, "end": "2026-11-26T23:18:23.631683+00:00"}','','2026-11-26 23:18:17.656202','2026-11-26 23:18:35.431000',12);
INSERT INTO "tasks_scheduleperiod" VALUES(15,'active','{"first": null, "interval": null, "cron": "0 6 1 1 *", "timezone": "Europe/Berlin", "repeat": null, "start": null, "end": null}','','2026-11-26 23:18:37.230045','2026-11-26 23:18:37.260694',18);
CREATE TABLE "tasks_task" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "name" varchar(200) NOT NULL, "failed" bool GENERATED ALWAYS AS (CASE WHEN "status" = 'failed' THEN 1 ELSE 0 END) STORED, "attempt" smallint unsigned NOT NULL CHECK ("attempt" >= 0), "started" datetime NULL, "ended" datetime NULL, "worker_name" varchar(200) NOT NULL, "progress" smallint unsigned NOT NULL CHECK ("progress" >= 0), "progress_message" varchar(200) NOT NULL, "reason" varchar(500) NOT NULL, "log" text NOT NULL, "result" text NULL CHECK ((JSON_VALID("result") OR "result" IS NULL)), "exception_class" varchar(200) NOT NULL, "traceback" text NOT NULL, "created" datetime NOT NULL, "job_id" varchar(64) NOT NULL UNIQUE, "function" varchar(200) NOT NULL, "args" text NOT NULL CHECK ((JSON_VALID("args") OR "args" IS NULL)), "kwargs" text NOT NULL CHECK ((JSON_VALID("kwargs") OR "kwargs" IS NULL)), "queue" varchar(64) NOT NULL, "timeout" integer unsigned NULL CHECK ("timeout" >= 0), "status" varchar(16) NOT NULL, "reserved_for" datetime NULL, CONSTRAINT "task_times_of_its_status" CHECK ((("ended" IS NULL AND "started" IS NULL AND "status" = 'queued') OR ("ended" IS NULL AND "reserved_for" IS NOT NULL AND "started" IS NULL AND "status" = 'reserved') OR ("ended" IS NULL AND "started" IS NOT NULL AND "status" = 'running') OR ("ended" IS NOT NULL AND "started" IS NOT NULL AND "status" = 'finished') OR ("ended" IS NOT NULL AND "status" IN ('failed', 'canceled')))), CONSTRAINT "task_numbers_in_bounds" CHECK (("attempt" >= 1 AND "progress" >= 0 AND "progress" <= 100)));
INSERT INTO "tasks_task" VALUES(1,'tests.jobs.count',1,'2026-11-26 23:18:24.000753','2026-11-26 23:18:24.463613','worker-1',100,'at 2','','2026-11-26 23:18:24,161 INFO tests.jobs.tasks: At 0
2026-11-26 23:18:24,262 INFO tests.jobs.tasks: At 1
2026-11-26 23:18:24,362 INFO tests.jobs.tasks: At 2
','3','','','2026-11-26 23:18:17.736015','task-77854f50ea0a4581bb35faaf536540fd','tests.jobs.count','[3, 0.1]','{}','default',NULL,'finished',NULL);
INSERT INTO "tasks_task" VALUES(2,'tests.jobs.end_by',1,'2026-11-26 23:18:24.482644','2026-11-26 23:18:24.486249','worker-1',0,'','Failed for: ValueError: as asked','Failed for: ValueError: as asked
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
','2026-11-26 23:18:17.746644','task-91d6c07c858e404db3fd7623f3250c51','tests.jobs.end_by','["raise"]','{}','default',1,'failed',NULL);
INSERT INTO "tasks_task" VALUES(3,'tests.jobs.answer',1,NULL,NULL,'',0,'','','',NULL,'','','2026-11-26 23:18:17.750595','task-150aac5412564a97a657a83a45bbc316','tests.jobs.answer','[]','{}','default',NULL,'reserved','2099-01-01 00:00:00');
INSERT INTO "tasks_task" VALUES(4,'tests.jobs.answer',1,NULL,'2026-11-26 23:18:17.762297','',0,'','Cancelled on request.','',NULL,'','','2026-11-26 23:18:17.755554','task-5be0076bd3194580b96fa0615585f137','tests.jobs.answer','[]','{}','default',NULL,'canceled','2099-01-01 00:00:00');
INSERT INTO "tasks_task" VALUES(5,'tests.jobs.count',1,'2026-11-26 23:18:46.172500',NULL,'worker-5',2,'at 24','','2026-11-26 23:18:46,234 INFO tests.jobs.tasks: At 0
2026-11-26 23:18:46,335 INFO tests.jobs.tasks: At 1
2026-11-26 23:18:46,435 INFO tests.jobs.tasks: At 2
2026-11-26 23:18:46,535 INFO tests.jobs.tasks: At 3
2026-11-26 23:18:46,641 INFO tests.jobs.tasks: At 4
2026-11-26 23:18:46,744 INFO tests.jobs.tasks: At 5
2026-11-26 23:18:46,844 INFO tests.jobs.tasks: At 6
2026-11-26 23:18:46,949 INFO tests.jobs.tasks: At 7
2026-11-26 23:18:47,049 INFO tests.jobs.tasks: At 8
2026-11-26 23:18:47,149 INFO tests.jobs.tasks: At 9
2026-11-26 23:18:47,249 INFO tests.jobs.tasks: At 10
2026-11-26 23:18:47,350 INFO tests.jobs.tasks: At 11
2026-11-26 23:18:47,450 INFO tests.jobs.tasks: At 12
2026-11-26 23:18:47,550 INFO tests.jobs.tasks: At 13
2026-11-26 23:18:47,650 INFO tests.jobs.tasks: At 14
2026-11-26 23:18:47,751 INFO tests.jobs.tasks: At 15
2026-11-26 23:18:47,851 INFO tests.jobs.tasks: At 16
2026-11-26 23:18:47,951 INFO tests.jobs.tasks: At 17
2026-11-26 23:18:48,052 INFO tests.jobs.tasks: At 18
2026-11-26 23:18:48,152 INFO tests.jobs.tasks: At 19
',NULL,'','','2026-11-26 23:18:40.834799','task-d1e6b213a2534040b0f71bfbd77a0494','tests.jobs.count','[1000, 0.1]','{}','default',NULL,'running',NULL);
INSERT INTO "tasks_task" VALUES(6,'tests.jobs.count',1,NULL,NULL,'',0,'','','',NULL,'','','2026-11-26 23:18:48.813578','task-34e74a3c9cfb4b9fba45ef96412466db','tests.jobs.count','[2, 0.1]','{}','default',NULL,'queued',NULL);
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
INSERT INTO "sqlite_sequence" VALUES('tasks_scheduledtaskinstance',55);
INSERT INTO "sqlite_sequence" VALUES('tasks_calendar',1);
INSERT INTO "sqlite_sequence" VALUES('tasks_task',6);
COMMIT;
